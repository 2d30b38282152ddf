"""The databases there are, and all in which they differ for whoever speaks both languages of SQL.

Imports no driver, so that nobody pays for the one that is not used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

Value = str | int | bytes | None


class DatabaseUnusable(Exception):
    """The database cannot be opened as configured; the message says why, for an operator."""


class Cursor(Protocol):
    """What a statement found. `rowcount` is how many rows a change was about."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def executemany(self, statement: str, rows: Sequence[Sequence[Value]], /) -> object: ...


class Connection(Protocol):
    """What both drivers' connections have in common. In autocommit mode; for one thread at a time."""

    def execute(self, statement: str, values: Sequence[Value] = ..., /) -> Cursor: ...
    def cursor(self) -> Cursor: ...
    def close(self) -> None: ...


class Database(Protocol):
    """One database, by its URL. Nothing is opened until `connect`."""

    name: str
    """What it is called in messages: a file, or a database and its server. Holds no password."""
    belongings: Path
    """What files that belong to it are named after, and where they are."""
    engine_url: str
    begin_reading: Sequence[str]
    """Statements that begin a transaction that sees one unchanging state and holds up no writer."""
    begin_writing: Sequence[str]
    """Statements that begin a transaction before which all others of their kind have ended, and which holds
    off the next, so that what it reads stays true."""
    begin_adding: Sequence[str]
    """Statements that begin a transaction of rows that constraints alone keep apart from others'."""
    before_altering: Sequence[str]
    """Statements after which such a transaction may alter tables that others are working with."""
    now: str
    """An expression: the database's own time in Unix milliseconds, as it is when the statement is done."""
    errors: tuple[type[Exception], ...]
    """What the driver raises when a statement could not be done."""
    no_such_table: type[Exception]

    def exists(self) -> bool:
        """False where connecting would make an empty one."""

    def connect(self) -> Connection:
        """For short statements that somebody waits for; makes no database. Raises DatabaseUnusable."""

    def connect_at_leisure(self, busy_seconds: float, answer_seconds: float | None = None) -> Connection:
        """For statements that take their time: None for as long as they like. They wait `busy_seconds` for
        others' transactions. Makes the database where that is all it takes. Raises DatabaseUnusable."""

    def statement(self, text: str) -> str:
        """A statement whose values are marked `?`, as the driver wants it."""

    def lost(self, connection: Any) -> bool:
        """Whether it failed because the server had gone meanwhile, so that another may do."""


def is_postgres(url: str) -> bool:
    """Everything else is SQLite's to judge."""
    return url.partition("://")[0] in ("postgresql", "postgres")


def database(url: str) -> Database:
    """Raises DatabaseUnusable for a URL that cannot work."""
    # Each driver is imported by whoever uses it: PostgreSQL's takes longer than the rest of a start.
    if is_postgres(url):
        from quantized.storage.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(url)
    from quantized.storage.sqlite import SqliteDatabase  # noqa: PLC0415

    return SqliteDatabase(url)
