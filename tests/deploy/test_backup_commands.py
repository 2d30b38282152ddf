"""The commands of docs/production.md that back up and restore, as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from database_copies import PostgresDatabases
from plain_sql import plainly
from postgres_server import INSTALLED

import quantized

DOCUMENT = (Path(__file__).parents[2] / "docs/production.md").read_text()
SQLITE, POSTGRES = (block for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL) if "$TO" in block)
PLACES = [Path(sys.executable).parent, INSTALLED / "bin"]


def run(script: str, cwd: Path, **environ: str) -> str:
    """What it prints. Fails where one of its commands does."""
    path = ":".join([*map(str, PLACES), os.environ["PATH"]])
    source = str(Path(quantized.__file__).parents[1])
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=cwd,
        env={"PATH": path, "PYTHONPATH": source, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def found(url: str) -> list[Any]:
    with plainly(url) as sql:
        return [
            sql("SELECT id, granted, head FROM license"),
            sql("SELECT license_id, seq, hash FROM ledger_entry"),
            sql("SELECT id, digest FROM api_key"),
        ]


def test_sqlite(tmp_path: Path) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    run("quantized init", tmp_path, QUANTIZED_DATABASE_URL=f"sqlite:///{first}")
    # As while a gateway runs: somebody is connected, and what is newest is not in the file itself.
    with plainly(f"sqlite:///{first}") as sql:
        sql("UPDATE institution SET name = 'newest'")
        said = run(SQLITE, tmp_path, FROM=str(first), TO=str(second))
    assert "nothing is wrong" in said
    assert second.stat().st_mode & 0o077 == 0
    assert found(f"sqlite:///{second}") == found(f"sqlite:///{first}")
    with plainly(f"sqlite:///{second}") as sql:
        assert sql("SELECT name FROM institution") == [("newest",)]


@pytest.mark.skipif(not (INSTALLED / "bin/pg_dump").exists(), reason="the package has no pg_dump here")
def test_postgresql(tmp_path: Path, postgres: Callable[[], PostgresDatabases]) -> None:
    databases = postgres()
    with databases.temporary() as first, databases.temporary() as empty:
        run("quantized init", tmp_path, QUANTIZED_DATABASE_URL=first)
        dump = tmp_path / "quantized.dump"
        said = run(POSTGRES, tmp_path, FROM=first, EMPTY=empty, TO=str(dump))
        assert "nothing is wrong" in said
        assert dump.stat().st_mode & 0o077 == 0
        assert found(empty) == found(first)
