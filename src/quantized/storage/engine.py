"""A SQLAlchemy engine for the statements that no request waits for: the directory and reports."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from quantized.storage.sqlite import BUSY_SECONDS, connect, sqlite_path


def open_engine(url: str, *, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """An engine whose `begin()` takes the right to write at once, so that what it read stays true.

    Raises DatabaseUnusable for a URL that cannot work; a connection raises it for a file that cannot.
    """
    sqlite_path(url)
    # The driver's own idea of transactions stays off (autocommit): it would begin them late, and never for
    # DDL or a read.
    engine = create_engine(
        "sqlite://", creator=lambda: connect(url, busy_seconds=busy_seconds), poolclass=NullPool
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = "DEFERRED" if connection.get_execution_options().get("read_only") else "IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one unchanging state and holds up no writer. For statements that only read."""
    with engine.connect().execution_options(read_only=True) as connection:
        yield connection
