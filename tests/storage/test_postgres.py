"""What is PostgreSQL's alone: a server that is gone, slow or restarting, and how a connection is set up."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from database_copies import PostgresDatabases, Templates
from in_time import tries
from plain_sql import plainly
from postgres_server import PostgresServer, postgres_server
from psycopg.conninfo import conninfo_to_dict

from quantized.core.errors import LedgerUnavailable
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.database import DatabaseUnusable, database
from quantized.storage.desk import Desk
from quantized.storage.keys import SqlKeyStore
from quantized.storage.migrate import is_current, migrate
from quantized.storage.postgres import connect

PATIENCE = 1.8
PROMISED = 2.0
"""Seconds within which a request hears that the database does not answer."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that only these tests know."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def own(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Templates]:
    """Migrated databases on it."""
    with closing(PostgresDatabases(server.url)) as databases:
        yield Templates(tmp_path_factory.mktemp("template"), lambda: databases)


@pytest.fixture
def url(own: Templates) -> Iterator[str]:
    with own.postgres() as url:
        yield url


@pytest.fixture
def keys(url: str) -> Iterator[SqlKeyStore]:
    with closing(SqlKeyStore(url, patience=PATIENCE)) as keys:
        yield keys


async def answers(keys: SqlKeyStore) -> None:
    """Returns once the store answers again."""
    async with asyncio.timeout(50):
        while True:
            try:
                return await keys.check()
            except LedgerUnavailable:
                await asyncio.sleep(0.01)


async def test_a_restart_between_two_questions_is_not_noticed(
    server: PostgresServer, keys: SqlKeyStore
) -> None:
    await keys.check()
    server.stop(signal.SIGINT)
    server.start()
    await keys.check()
    server.stop(signal.SIGQUIT)
    server.start()
    await keys.check()


async def test_while_the_server_is_gone_it_is_said_at_once(server: PostgresServer, url: str) -> None:
    with closing(SqlKeyStore(url)) as connected, closing(SqlKeyStore(url)) as fresh:
        await connected.check()
        server.stop()
        for keys in (connected, fresh, connected):
            for attempt in tries(1):
                with attempt.timing(), pytest.raises(LedgerUnavailable) as fault:
                    await keys.check()
                assert server.password not in repr(fault.value.cause)
        for attempt in tries(PROMISED):
            with attempt.timing(), pytest.raises(LedgerUnavailable):
                await CatalogRows(url).load("p")
        server.start()
        await connected.check()
        await fresh.check()
        assert await CatalogRows(url).load("p") == []


async def test_a_server_that_says_nothing_is_not_waited_for(server: PostgresServer, url: str) -> None:
    with closing(SqlKeyStore(url)) as connected, closing(SqlKeyStore(url)) as fresh:
        await connected.check()
        server.pause()
        try:
            for attempt in tries(PROMISED):
                with attempt.timing():
                    asked = [keys.check() for keys in (connected, fresh, connected)]
                    said = await asyncio.gather(*asked, return_exceptions=True)
                assert [type(fault) for fault in said] == [LedgerUnavailable] * 3
        finally:
            server.resume()
        await asyncio.gather(answers(connected), answers(fresh))


async def test_a_table_that_somebody_keeps_is_not_waited_for(url: str, keys: SqlKeyStore) -> None:
    with plainly(url) as somebody:
        somebody("BEGIN")
        somebody("LOCK license IN ACCESS EXCLUSIVE MODE")
        for attempt in tries(PROMISED):
            with attempt.timing(), pytest.raises(LedgerUnavailable) as fault:
                await keys.check()
            assert "lock timeout" in str(fault.value.cause)
        somebody("ROLLBACK")
    await keys.check()


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(url: str) -> None:
    with closing(connect(url, statement_seconds=0.05)) as connection:
        for attempt in tries(1):
            with attempt.timing(), pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(5)")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_waited_in_vain_is_closed(server: PostgresServer, url: str) -> None:
    for attempt in tries(1):
        with closing(connect(url, answer_seconds=0.1)) as connection:
            server.pause()
            try:
                with attempt.timing(), pytest.raises(psycopg.OperationalError, match="no answer within"):
                    connection.execute("SELECT 1")
            finally:
                server.resume()
            assert connection.closed


async def test_a_server_that_takes_no_writes_is_as_good_as_gone(server: PostgresServer, url: str) -> None:
    name = conninfo_to_dict(url)["dbname"]
    with plainly(server.url) as admin, closing(SqlKeyStore(url)) as keys:
        admin(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        with pytest.raises(LedgerUnavailable) as fault:
            await keys.check()
        assert "read-only" in str(fault.value.cause)
        with pytest.raises(DatabaseUnusable, match="read-only"), Desk(url).writing() as session:
            session.add_institution("uni", "Uni", 1)
        admin(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await keys.check()


def test_a_connection_is_set_up_for_sharing(url: str) -> None:
    names = (
        "application_name",
        "client_encoding",
        "idle_in_transaction_session_timeout",
        "lock_timeout",
        "statement_timeout",
    )
    with closing(connect(url)) as connection:
        assert [connection.execute(f"SHOW {name}").fetchone() for name in names] == [
            ("quantized",), ("UTF8",), ("5s",), ("1s",), ("1500ms",)
        ]  # fmt: skip


def test_what_the_url_says_goes_before_what_we_say(url: str) -> None:
    with closing(connect(f"{url}?application_name=other&options=-c%20lock_timeout%3D7s")) as connection:
        names = ("application_name", "lock_timeout", "statement_timeout")
        said = [connection.execute(f"SHOW {name}").fetchone() for name in names]
    assert said == [("other",), ("7s",), ("1500ms",)]


def test_either_spelling_of_the_scheme_and_every_form_of_a_place() -> None:
    for url, name, belongings in (
        ("postgresql://u:p@db.example.org:5432/books", "books at db.example.org", "books@db.example.org"),
        ("postgres://db.example.org/books", "books at db.example.org", "books@db.example.org"),
        ("postgresql:///books?host=/run/postgresql", "books at /run/postgresql", "books@%2Frun%2Fpostgresql"),
        ("postgresql:///books", "books at the local server", "books@the local server"),
        ("postgresql://u@a:1,b:2/books", "books at a,b", "books@a%2Cb"),
        ("postgresql://u%40x:p%2Fq@[::1]/books?sslmode=verify-full", "books at ::1", "books@%3A%3A1"),
    ):
        meant = database(url)
        assert (meant.name, meant.belongings) == (name, Path("var") / belongings)
        assert meant.exists()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://", "names its database"),
        ("postgresql://u:secret@host", "names its database"),
        ("postgresql://u:sec@secret@host/books", "percent-encoded"),
        ("postgresql://u:sec/secret@host/books", "percent-encoded"),
        ("postgresql://u:%zzsecret@host/books", "cannot be read"),
        ("postgresql://u:secret@host/books?passwrd=secret", "cannot be read"),
        ("postgresql://u:secret@host/books?password=secret&nonsense=1", "cannot be read"),
        ("postgresql://u:secret@host/books?nonsense=1", "nonsense"),
        ("postgresql://u:secret@[::1/books", "cannot be read"),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_its_password(url: str, says: str) -> None:
    with pytest.raises(DatabaseUnusable, match=says) as refused:
        database(url)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_place_where_nobody_may_enter_is_said_without_the_password(server: PostgresServer) -> None:
    for wrong, says in (
        (server.url.replace(server.password, "wrong-word"), "password authentication failed"),
        (server.url_of("nowhere"), "does not exist"),
    ):
        with pytest.raises(DatabaseUnusable, match=says) as refused:
            is_current(wrong)
        assert server.password not in str(refused.value)
        assert "wrong-word" not in str(refused.value)


def test_altering_tables_holds_up_nobody_for_long(
    postgres: Callable[[], PostgresDatabases], migrate_to: Callable[[str, str], None]
) -> None:
    with postgres().temporary() as url:
        migrate_to(url, "0001")
        with plainly(url) as reader:
            reader("BEGIN")
            reader("SELECT * FROM license_type")
            for attempt in tries(10):
                with attempt.timing(), pytest.raises(DatabaseUnusable, match="lock timeout"):
                    migrate(url)
            assert not is_current(url)
            reader("ROLLBACK")
        migrate(url)
        assert is_current(url)
