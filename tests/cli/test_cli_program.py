"""The installed program: its exit status, its start-up, its tables."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_harness import Run
from in_time import tries
from plain_sql import rows

from quantized.cli.output import credits_text, iso_time

QUANTIZED = Path(sys.executable).with_name("quantized")
COMMANDS = [
    "init",
    "serve",
    "migrate",
    "institution",
    "license-type",
    "license",
    "key",
    "jwt",
    "usage",
    "models",
]


def test_help_names_every_command_and_each_has_help(run: Run) -> None:
    listed = run("--help").out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", listed, re.MULTILINE)
        ran = run(command, "--help")
        assert ran.status == 0
        assert f"Usage: quantized {command}" in ran.out


def test_help_is_there_at_once(folder: Path) -> None:
    """The limit is what a person does not notice; the best of a few runs, since others use the machine."""
    command = [QUANTIZED, "--help"]
    for attempt in tries(0.6):
        with attempt.timing():
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, quantized.cli.main, quantized.cli.serve; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert not {"sqlalchemy", "alembic", "rich", "starlette", "asyncio"} & set(loaded)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["key", "nonsense"], 2, "No such command"),
        (["key", "create"], 2, "Missing argument"),
        (["key", "list"], 1, "make one with: quantized init"),
        (["usage"], 1, "make one with: quantized init"),
        (["models"], 1, "make one with: quantized init"),
        (["models", "--provider", "nope"], 2, "no provider 'nope' is set up; there are: demo"),
        (["--config", "none.toml", "migrate"], 1, "none.toml: there is no such file"),
    ],
)
def test_exit_status(run: Run, folder: Path, words: list[str], status: int, says: str) -> None:
    ran = run(*words)
    assert ran.status == status
    assert says in ran.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--version"], 0, "quantized, version"),
        (["nonsense"], 2, "No such command"),
        (["serve"], 1, "make one with: quantized init"),
    ],
)
def test_exit_status_of_a_process(folder: Path, words: list[str], status: int, says: str) -> None:
    ran = subprocess.run([QUANTIZED, *words], check=False, cwd=folder, capture_output=True, text=True)
    assert ran.returncode == status
    assert says in (ran.stderr if status else ran.stdout)
    assert "Traceback" not in ran.stderr
    assert list(folder.iterdir()) == []


def test_migrate_can_be_repeated(run: Run, folder: Path) -> None:
    assert "now has schema" in run("migrate").out
    assert "nothing to do" in run("migrate").out
    (folder / "var" / "empty.db").touch()
    ran = run("key", "list", QUANTIZED_DATABASE_URL="sqlite:///var/empty.db")
    assert ran.status == 1
    assert "run: quantized migrate" in ran.err


def test_a_database_of_a_newer_version(run: Run, database: str) -> None:
    rows(database, "UPDATE alembic_version SET version_num = '9999'")
    for command in ("migrate", "init"):
        ran = run(command)
        assert ran.status == 1
        assert "does not know the database's schema" in ran.err


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:secret@127.0.0.1:1/d", "cannot connect to d at 127.0.0.1"),
        ("postgres://u:secret@127.0.0.1:1", "names its database"),
        ("postgresql://u:secret@host@127.0.0.1:1/d", "percent-encoded"),
        ("postgresql://u:sec/secret@127.0.0.1:1/d", "percent-encoded"),
        ("postgresql://u:secret%zz@127.0.0.1:1/d", "cannot be read"),
        ("postgresql://u:secret@127.0.0.1:1/d?sslmode=perhaps", "sslmode"),
        ("postgresql://u:secret@127.0.0.1:1/d?nonsense=1", "nonsense"),
        ("postgresql+psycopg://u:secret@h/d", "postgresql://user"),
        ("sqlite://", "slashes"),
        ("mysql://h", "sqlite:///"),
        ("sqlite:////proc/nothing/x.db", "cannot open"),
    ],
)
@pytest.mark.parametrize("command", ["init", "migrate"])
def test_databases_that_cannot_work(run: Run, command: str, url: str, says: str) -> None:
    ran = run(command, QUANTIZED_DATABASE_URL=url)
    assert ran.status == 1
    assert says in ran.err
    assert "secret" not in ran.err


def test_a_file_that_is_no_database(run: Run, folder: Path) -> None:
    (folder / "notes.db").write_text("dear diary " * 100)
    for command in (["key", "list"], ["init"], ["usage"]):
        ran = run(*command, QUANTIZED_DATABASE_URL="sqlite:///notes.db")
        assert ran.status == 1
        assert "not a database" in ran.err


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_text_for_a_pipe_is_aligned(run: Run, database: str) -> None:
    run("institution", "create", "a", "--name", "Short")
    run("institution", "create", "long-alias", "--name", "A longer name")
    header, *lines = run("institution", "list").out.splitlines()
    column = header.index("institution id")
    assert [line[:10].strip() for line in lines] == ["a", "long-alias"]
    assert all(re.fullmatch(r"[0-9a-f-]{36}", line[column : column + 36]) for line in lines)
    assert not any(line != line.rstrip() for line in (header, *lines))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_terminal_gets_a_table(run: Run, folder: Path, database: str) -> None:
    run("institution", "create", "uni", "--name", "[bold]University[/bold]")
    ours, theirs = pty.openpty()
    try:
        environ = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
        subprocess.run([QUANTIZED, "institution", "list"], cwd=folder, stdout=theirs, check=True, env=environ)
        printed = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "─" in printed
    assert "[bold]University[/bold]" in printed
    assert "institution id" in printed


def test_empty_lists(run: Run, database: str) -> None:
    for what in ("institution", "license-type", "license", "key"):
        ran = run(what, "list")
        assert (ran.status, ran.out) == (0, "")
        assert f"quantized {what} create" in ran.err
        assert run(what, "list", "--json").json == []


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (1_500_000, "1.5"),
        (10**7, "10"),
        (-12_340_000, "-12.34"),
    ],
)
def test_credits_are_written_exactly(micro: int, text: str) -> None:
    assert credits_text(micro) == text


def test_times_are_written_in_utc() -> None:
    assert iso_time(None) is None
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(1_700_000_000_123) == "2023-11-14T22:13:20.123Z"
