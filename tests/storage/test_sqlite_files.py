"""What is SQLite's alone: its files, who may read them, and how a connection to one is set up."""

import os
import stat
from contextlib import closing
from pathlib import Path

import pytest

from quantized.storage.database import DatabaseUnusable
from quantized.storage.engine import open_engine
from quantized.storage.migrate import is_current, migrate
from quantized.storage.sqlite import connect, sqlite_path


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/db/test.db"


def test_files_are_for_their_owner_alone(url: str) -> None:
    previous = os.umask(0)
    try:
        migrate(url)
        with closing(connect(url)) as connection:
            connection.execute("CREATE TABLE anything (id)")
            folder = sqlite_path(url).parent
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes == {"test.db": 0o600, "test.db-wal": 0o600, "test.db-shm": 0o600}


def test_a_connection_is_set_up_for_sharing(url: str) -> None:
    with closing(connect(url)) as connection:
        pragmas = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 2000}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql+psycopg://localhost/quantized", "or postgresql://user"),
        ("mysql://localhost/quantized", "begins with 'mysql'"),
        ("quantized.db", "sqlite:///path"),
        ("sqlite://quantized.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:///quantized.db?mode=ro", "no options"),
    ],
)
def test_a_url_that_cannot_work_is_refused_plainly(url: str, says: str) -> None:
    with pytest.raises(DatabaseUnusable, match=says):
        open_engine(url)


def test_a_file_that_cannot_be_a_database_is_refused_plainly(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at " * 40)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        is_current(f"sqlite:///{tmp_path}/text")
    with pytest.raises(DatabaseUnusable, match="cannot open"):
        is_current(f"sqlite:///{tmp_path}/text/below.db")
