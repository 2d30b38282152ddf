"""The command line as people run it: real settings, a real database in a folder of its own."""

import os
from pathlib import Path

import pytest
from cli_harness import Ran, Run
from click.testing import CliRunner

from quantized.cli.main import cli
from quantized.clock import SystemClock
from quantized.storage.directory import Directory
from quantized.storage.engine import open_engine
from quantized.storage.migrate import migrate


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty, migrated database, made once."""
    path = tmp_path_factory.mktemp("template") / "quantized.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


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


@pytest.fixture
def database(folder: Path, migrated: bytes) -> Path:
    """A migrated database at the default place."""
    path = folder / "var" / "quantized.db"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(migrated)
    return path


@pytest.fixture
def directory(database: Path) -> Directory:
    return Directory(open_engine(f"sqlite:///{database}"))


@pytest.fixture
def now() -> int:
    return SystemClock().now_ms()
