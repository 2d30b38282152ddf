"""A SQLAlchemy engine for the statements that no request waits for: the directory and reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from quantized.storage.database import database

BUSY_SECONDS = 2.0


def open_engine(
    url: str, *, busy_seconds: float = BUSY_SECONDS, answer_seconds: float | None = None, kept: int = 0
) -> Engine:
    """An engine whose `begin()` takes the right to write at once, so that what it read stays true: of all
    transactions of such engines one writes at a time. It waits `busy_seconds` for that, and `answer_seconds`
    for a server's answer to a statement (None for ever). Up to `kept` connections stay open for the next one;
    one that keeps none is given to whoever asks for the same again, with the statements it has compiled.

    Raises DatabaseUnusable for a URL that cannot work; a connection raises it for a database that cannot.
    """
    if kept:
        return _engine(url, busy_seconds, answer_seconds, pool_size=kept, max_overflow=-1, pool_pre_ping=True)
    return _keeping_none(url, busy_seconds, answer_seconds)


@lru_cache(maxsize=8)
def _keeping_none(url: str, busy_seconds: float, answer_seconds: float | None) -> Engine:
    return _engine(url, busy_seconds, answer_seconds, poolclass=NullPool)


def _engine(url: str, busy_seconds: float, answer_seconds: float | None, **pool: Any) -> Engine:
    way = database(url)

    def connect() -> Any:
        return way.connect_at_leisure(busy_seconds, answer_seconds)

    # The drivers' own idea of transactions stays off (autocommit): SQLite's would begin them late, and never
    # for DDL or a read.
    engine = create_engine(way.engine_url, creator=connect, **({"poolclass": QueuePool} | pool))

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only")
        for statement in way.begin_reading if read_only else way.begin_writing:
            connection.exec_driver_sql(statement)

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one unchanging state and holds up no writer. For statements that only read."""
    with engine.connect().execution_options(read_only=True) as connection:
        yield connection
