"""Connecting to PostgreSQL well. Imports neither SQLAlchemy nor Alembic, so that start-up stays short."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from quantized.storage.database import DatabaseUnusable

T = TypeVar("T")

CONNECT_SECONDS = 2
"""How long a connection may take to be made; libpq knows nothing shorter."""

ANSWER_SECONDS = 1.6
"""How long a connection waits for the server's next word before it is given up. Less than anybody waits for
what is asked over it."""

LOCK_SECONDS = 1.0
"""How long a statement waits for another transaction's locks."""

STATEMENT_SECONDS = 1.5
"""How long the server works on a statement. It gives up before we do, and says so."""

_ABANDONED_SECONDS = 5
"""How long a transaction may stand open without a word, before the server ends it for the sake of those who
want its locks: the machine that opened it may be gone."""

_WRITERS_LOCK = 0x5175616E_74697A65
"""The name of the advisory lock of whoever writes the directory or migrates."""

_DEFAULTS = {
    "application_name": "quantized",
    "connect_timeout": CONNECT_SECONDS,
    "client_encoding": "UTF8",
    # A server's machine that went away without a word is missed within ten seconds on idle connections, too.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
    # Of several servers the one that takes writes; one that takes none is as good as gone.
    "target_session_attrs": "read-write",
    # It asks the server first and is refused nearly everywhere, which takes a round trip.
    "gssencmode": "disable",
}


class PostgresConnection(psycopg.Connection[tuple[Any, ...]]):
    """Gives up on a server that says nothing for `answer_seconds`: raises psycopg.OperationalError, and is
    closed then."""

    answer_seconds: float | None = None
    given_up = False

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        if timeout is not None or self.answer_seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise
            # The answer may still come: nobody could tell what it answers.
            self.given_up = True
            self.close()
            raise psycopg.OperationalError(f"no answer within {self.answer_seconds:g} s") from error


class PostgresDatabase:
    """`storage.database.Database` on a server."""

    engine_url = "postgresql+psycopg://"
    begin_reading: Sequence[str] = (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        # It holds nobody up, and whoever reads it may take their time between two rows.
        "SET LOCAL idle_in_transaction_session_timeout = 0",
    )
    # Every statement after the lock sees what all who had it before have committed.
    begin_writing: Sequence[str] = (
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})",
    )
    begin_adding: Sequence[str] = ("BEGIN ISOLATION LEVEL READ COMMITTED",)
    # Whoever wants a table waits behind whoever waits to alter it: no longer than requests can wait.
    before_altering: Sequence[str] = (
        "SET LOCAL lock_timeout = '1s'",
        # Rows that are converted one by one take a while between two statements.
        "SET LOCAL idle_in_transaction_session_timeout = '60s'",
    )
    now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    no_such_table: type[Exception] = psycopg.errors.UndefinedTable

    def __init__(self, url: str) -> None:
        """Raises DatabaseUnusable for a URL that cannot work. What it says holds no password."""
        parameters = _parameters(url)
        self.name = _place(parameters)
        self.belongings = Path("var") / quote(self.name.replace(" at ", "@"), safe="@ ")
        self._url = url

    def exists(self) -> bool:
        return True

    def connect(self) -> PostgresConnection:
        return connect(self._url)

    def connect_at_leisure(
        self, busy_seconds: float, answer_seconds: float | None = None
    ) -> PostgresConnection:
        return connect(
            self._url,
            answer_seconds=answer_seconds,
            statement_seconds=answer_seconds or 0,
            lock_seconds=busy_seconds,
        )

    def statement(self, text: str) -> str:
        return _with_places(text)

    def lost(self, connection: PostgresConnection) -> bool:
        return connection.closed and not connection.given_up


def check_url(url: str) -> None:
    """Raises DatabaseUnusable for a URL that cannot work. What it says holds no password."""
    _parameters(url)


def connect(
    url: str,
    *,
    answer_seconds: float | None = ANSWER_SECONDS,
    statement_seconds: float = STATEMENT_SECONDS,
    lock_seconds: float = LOCK_SECONDS,
) -> PostgresConnection:
    """A connection in autocommit mode that any one thread at a time may use. The times are the longest that
    it waits for the server, that the server works on a statement (0 for ever), and that it waits for a lock.

    Raises DatabaseUnusable. psycopg.OperationalError is raised by its statements when the server is gone,
    slow or restarting.
    """
    parameters = _parameters(url)
    limits = {
        "statement_timeout": statement_seconds,
        "lock_timeout": lock_seconds,
        "idle_in_transaction_session_timeout": _ABANDONED_SECONDS,
    }
    options = " ".join(f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items())
    # The last one wins, so that an operator's own options count.
    options = f"{options} {parameters.pop('options', '')}".strip()
    try:
        connection = PostgresConnection.connect(
            make_conninfo("", **{**_DEFAULTS, **parameters, "options": options}), autocommit=True
        )
    except psycopg.Error as error:
        raise DatabaseUnusable(f"cannot connect to {_place(parameters)}: {_one_line(error)}") from error
    connection.answer_seconds = answer_seconds
    return connection


def _parameters(url: str) -> dict[str, Any]:
    authority, _, rest = url.partition("://")[2].partition("/")
    # libpq would take the rest of such a password for the host's name, and say it in its messages.
    if authority.count("@") > 1 or "@" in rest.partition("?")[0]:
        raise DatabaseUnusable(
            "in a PostgreSQL URL `@`, `/`, `:` and `?` are percent-encoded inside a name or password"
        )
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.Error:
        raise DatabaseUnusable(_malformed(url)) from None
    if not parameters.get("dbname"):
        raise DatabaseUnusable("a PostgreSQL URL names its database: postgresql://user@host:5432/database")
    return dict(parameters)


def _malformed(url: str) -> str:
    """What libpq says about the part of the URL that holds no secret."""
    _, at, bare = url.rpartition("@")
    if at and "password=" not in bare:
        try:
            conninfo_to_dict(f"postgresql://{bare}")
        except psycopg.Error as error:
            return f"the PostgreSQL URL cannot be read: {_one_line(error)}"
    return "the PostgreSQL URL cannot be read; it has the form postgresql://user:password@host:5432/database"


def _place(parameters: dict[str, Any]) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or "the local server"
    return f"{parameters['dbname']} at {host}"


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


@cache
def _with_places(text: str) -> str:
    return text.replace("%", "%%").replace("?", "%s")
