"""A SQLAlchemy engine for the statements that no request waits for: the directory and reports."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from quantized.storage.database import is_postgres
from quantized.storage.sqlite import BUSY_SECONDS, connect, sqlite_path

_DIRECTORY_LOCK = 0x5175616E_74697A65
"""The name of PostgreSQL's advisory lock for whoever writes through an engine."""


def open_engine(url: str, *, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """An engine whose `begin()` takes the right to write at once, so that what it read stays true: of all
    transactions of such engines one writes at a time. It waits `busy_seconds` for that.

    Raises DatabaseUnusable for a URL that cannot work; a connection raises it for a database that cannot.
    """
    return _postgres_engine(url, busy_seconds) if is_postgres(url) else _sqlite_engine(url, busy_seconds)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one unchanging state and holds up no writer. For statements that only read."""
    with engine.connect().execution_options(read_only=True) as connection:
        yield connection


def _sqlite_engine(url: str, busy_seconds: float) -> Engine:
    sqlite_path(url)

    def begin(connection: Connection, read_only: bool) -> None:
        connection.exec_driver_sql("BEGIN DEFERRED" if read_only else "BEGIN IMMEDIATE")

    return _engine("sqlite://", lambda: connect(url, busy_seconds=busy_seconds), begin)


def _postgres_engine(url: str, busy_seconds: float) -> Engine:
    from quantized.storage import postgres  # noqa: PLC0415  a driver that SQLite has no use for

    postgres.check_url(url)

    def begin(connection: Connection, read_only: bool) -> None:
        if read_only:
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        else:
            # Every statement after the lock sees what all who had it before have committed.
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_DIRECTORY_LOCK})")

    return _engine(
        "postgresql+psycopg://",
        # Reports and migrations take the time that they take.
        lambda: postgres.connect(url, answer_seconds=None, statement_seconds=0, lock_seconds=busy_seconds),
        begin,
        use_native_hstore=False,
    )


def _engine(
    dialect: str, connect: Callable[[], Any], begin: Callable[[Connection, bool], None], **options: Any
) -> Engine:
    # The drivers' own idea of transactions stays off (autocommit): SQLite's would begin them late, and never
    # for DDL or a read.
    engine = create_engine(dialect, creator=connect, poolclass=NullPool, **options)

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        begin(connection, bool(connection.get_execution_options().get("read_only")))

    return engine
