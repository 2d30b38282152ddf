"""Opening a SQLite file well. Imports neither SQLAlchemy nor Alembic, so that start-up stays short."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from quantized.storage.database import DatabaseUnusable

BUSY_SECONDS = 2.0
"""How long a statement waits for another process's transaction before it gives up."""


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///relative/path` or `sqlite:////absolute/path` means.

    Raises DatabaseUnusable for every other URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme != "sqlite":
        raise DatabaseUnusable(
            f"the database URL begins with {scheme!r}; use sqlite:///path/to/file.db"
            " or postgresql://user:password@host:5432/database"
        )
    if not rest.startswith("/"):
        raise DatabaseUnusable("a SQLite URL has three slashes before a relative path: sqlite:///var/file.db")
    name = rest[1:]
    if name in ("", ":memory:"):
        raise DatabaseUnusable("SQLite must be a file, because several processes share it")
    if "?" in name or "#" in name:
        raise DatabaseUnusable("a SQLite URL takes no options after the path")
    return Path(name)


def connect(url: str, *, busy_seconds: float = BUSY_SECONDS, create: bool = True) -> sqlite3.Connection:
    """A connection in autocommit mode that any one thread at a time may use. With `create`, makes the file
    (0600) and its folder (0700) where they are missing.

    Raises DatabaseUnusable.
    """
    path = sqlite_path(url)
    try:
        if create:
            _create(path)
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except (OSError, sqlite3.Error) as error:
        raise DatabaseUnusable(f"cannot open {path}: {error}") from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        connection.close()
        raise DatabaseUnusable(f"cannot use {path}: {error}") from error
    return connection


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the files beside the database (-wal, -shm) the mode of the database itself.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
