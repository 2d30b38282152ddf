"""Opening a SQLite file well. Imports neither SQLAlchemy nor Alembic, so that start-up stays short."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from quantized.storage.database import DatabaseUnusable

# What the driver knows no form for it asks of the value itself, each time: of `None` and of bytes, which have
# none, that takes as long as all the rest of binding five others. Told beforehand, it looks it up.
sqlite3.register_adapter(type(None), lambda none: none)
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)

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


class SqliteDatabase:
    """`storage.database.Database` in a file."""

    engine_url = "sqlite://"
    begin_reading: Sequence[str] = ("BEGIN DEFERRED",)
    begin_writing: Sequence[str] = ("BEGIN IMMEDIATE",)
    begin_adding: Sequence[str] = begin_writing
    before_altering: Sequence[str] = ()
    now = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    no_such_table: type[Exception] = sqlite3.OperationalError

    def __init__(self, url: str) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self.belongings = sqlite_path(url)
        self.name = str(self.belongings)
        self._url = url

    def exists(self) -> bool:
        return self.belongings.exists()

    def connect(self) -> sqlite3.Connection:
        return connect(self._url, create=False)

    def connect_at_leisure(
        self,
        busy_seconds: float,
        answer_seconds: float | None = None,  # noqa: ARG002  a file always answers, or the locks' time is over
    ) -> sqlite3.Connection:
        return connect(self._url, busy_seconds=busy_seconds)

    def statement(self, text: str) -> str:
        return text

    def lost(self, connection: sqlite3.Connection) -> bool:  # noqa: ARG002  there is no server
        return False
