"""The command line as people run it: real settings, a real database in a folder of its own."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from admin_world import served
from cli_harness import Ran, Run
from click.testing import CliRunner
from database_copies import KINDS, Templates

from quantized.administration.actor import command_line
from quantized.administration.administration import Administration
from quantized.administration.verbs import CreateAdminKey
from quantized.cli.main import cli
from quantized.clock import SystemClock


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("QUANTIZED_", "OPENROUTER_")):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*words: str, **environ: str) -> Ran:
        result = CliRunner().invoke(cli, words, env=environ, prog_name="quantized")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(params=KINDS)
def database(
    request: pytest.FixtureRequest, templates: Templates, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The URL of a migrated database, which the settings mean: SQLite's is at the default place. A test that
    asks for `EVERY_WAY` is also run against the API of a gateway on such a database."""
    if request.param != "postgresql":
        (folder / "var").mkdir(mode=0o700)
        url = templates.sqlite(folder / "var" / "quantized.db")
        if request.param == "sqlite":
            yield url
            return
        desk = Administration(url, SystemClock(), kept=4)
        made = desk.do(command_line("root", "here"), CreateAdminKey(name="root", role="operator"))
        with closing(desk), served(lambda: desk) as port:
            monkeypatch.setenv("QUANTIZED_ADMIN_URL", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("QUANTIZED_ADMIN_KEY", made.admin_key or "")
            yield url
    else:
        with templates.postgres() as url:
            monkeypatch.setenv("QUANTIZED_DATABASE_URL", url)
            yield url


@pytest.fixture
def now() -> int:
    return SystemClock().now_ms()
