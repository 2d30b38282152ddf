"""What a test itself says to either database: values are marked `?`, truth is `true` or `false`."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from quantized.storage.database import Value, database, is_postgres

_PATIENT = 20.0
"""Seconds that it waits for others' locks."""


class Plain:
    """A connection of one's own, in autocommit mode, that may take its time."""

    def __init__(self, url: str) -> None:
        self._database = database(url)
        self._connection = self._database.connect_at_leisure(_PATIENT)
        if is_postgres(url):
            # Who keeps a lock for a test keeps it until the test is done.
            self._connection.execute("SET idle_in_transaction_session_timeout = 0")
        self.rejections = self._database.errors

    def __call__(self, statement: str, *values: Value) -> list[tuple[Any, ...]]:
        """The rows that the statement finds; none for one that finds nothing by its nature."""
        cursor: Any = self._connection.execute(self._database.statement(statement), values)
        return [] if cursor.description is None else cursor.fetchall()

    def named(self, statement: str, *values: Value) -> list[dict[str, Any]]:
        """The rows that the statement finds, by the names of their columns."""
        cursor: Any = self._connection.execute(self._database.statement(statement), values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    @contextmanager
    def one_moment(self) -> Iterator[None]:
        """All that is read in it is of one unchanging state."""
        for statement in self._database.begin_reading:
            self(statement)
        yield
        self("COMMIT")

    def many(self, statements: str) -> None:
        """Statements that end with a semicolon each, without values and without a semicolon in a text."""
        for statement in filter(None, map(str.strip, statements.split(";"))):
            self(statement)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def plainly(url: str) -> Iterator[Plain]:
    with closing(Plain(url)) as plain:
        yield plain


def rows(url: str, statement: str, *values: Value) -> list[tuple[Any, ...]]:
    """What one statement finds, on a connection for it alone."""
    with plainly(url) as plain:
        return plain(statement, *values)
