import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from database_copies import KINDS, PostgresDatabases
from plain_sql import Plain, plainly
from sqlalchemy import inspect

import quantized.storage.migrations
from quantized.storage.database import is_postgres
from quantized.storage.engine import open_engine, reading
from quantized.storage.migrate import HEAD, is_current, migrate
from quantized.storage.schema import metadata

MigrateTo = Callable[[str, str], None]

FIRST_SCHEMA_DATA = """
INSERT INTO institution VALUES ('i', 'uni', 'University', 0);
INSERT INTO license_type VALUES ('t', 'i', 'course', 'Course', 12000, '{}', NULL, false, 0, 0);
INSERT INTO license VALUES ('l', 't', 'bio', 'Biology', false, true, 0, 100, 7, 0, 2);
INSERT INTO hold VALUES ('h', 'l', 9, 'settled', NULL, 0, 1, 1, 'r', 'k', 'demo', 'm');
INSERT INTO ledger_entry VALUES ('l', 1, 'e', 'grant', 100, 100, NULL, NULL, '', '', false, 0);
INSERT INTO ledger_entry VALUES ('l', 2, NULL, 'charge', -7, 93, 'h', 'r', NULL, NULL, false, 1);
INSERT INTO usage_record VALUES (
    'h', 'r', 'l', 'k', NULL, 'chat', 'demo', 'm', NULL, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 7, 7, 0, 93, false,
    NULL, 'completed', 0, NULL, 5, 1);
"""

DIRECTORY = """
INSERT INTO institution VALUES ('i', 'uni', 'University', 0);
INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)
    VALUES ('t', 'i', 'course', 'Course', 0, 0);
INSERT INTO license (id, license_type_id, name, created_at) VALUES ('l', 't', 'L', 0);
"""

SQLITE_SHAPE = (
    "SELECT name, sql FROM sqlite_master"
    " WHERE sql IS NOT NULL AND type IN ('table', 'index') AND name != 'alembic_version'",
)
POSTGRES_SHAPE = (
    "SELECT table_name, row_number() OVER (PARTITION BY table_name ORDER BY ordinal_position), column_name,"
    " data_type, is_nullable, column_default FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name != 'alembic_version'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace AND contype != 'n'"
    " AND conrelid != 'alembic_version'::regclass",
    "SELECT indexname, indexdef FROM pg_indexes"
    " WHERE schemaname = 'public' AND tablename != 'alembic_version'",
)


@pytest.fixture(params=KINDS)
def empty_url(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Callable[[], PostgresDatabases]
) -> Iterator[Callable[[], str]]:
    """Gives URLs of empty databases of one kind."""
    with ExitStack() as stack:
        numbers = count()

        def url() -> str:
            if request.param == "sqlite":
                return f"sqlite:///{tmp_path}/db/{next(numbers)}.db"
            return stack.enter_context(postgres().temporary())

        yield url


@pytest.fixture
def url(empty_url: Callable[[], str]) -> str:
    return empty_url()


def shape(url: str) -> set[tuple[object, ...]]:
    """All tables with their columns, constraints and indexes."""
    with plainly(url) as sql:
        found = [row for text in (POSTGRES_SHAPE if is_postgres(url) else SQLITE_SHAPE) for row in sql(text)]
    return {tuple(" ".join(part.split()) if isinstance(part, str) else part for part in row) for row in found}


def put_first_data(sql: Plain) -> None:
    sql.many(FIRST_SCHEMA_DATA)
    sql(
        "INSERT INTO api_key (id, license_id, digest, prefix, name, created_at)"
        " VALUES ('k', 'l', ?, 'sk', 'K', 0)",
        b"\x01",
    )


def test_migrations_build_exactly_the_tables_of_the_schema(empty_url: Callable[[], str]) -> None:
    migrated, direct = empty_url(), empty_url()
    migrate(migrated)
    with reading(open_engine(migrated)) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    with open_engine(direct).begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
    assert shape(migrated) == shape(direct)


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(quantized.storage.migrations.__path__[0])))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrating_again_changes_nothing(url: str) -> None:
    assert not is_current(url)
    migrate(url)
    assert is_current(url)
    before = shape(url)
    migrate(url)
    assert shape(url) == before


def test_a_database_of_the_first_schema_keeps_what_is_in_it(url: str, migrate_to: MigrateTo) -> None:
    migrate_to(url, "0001")
    with plainly(url) as sql:
        put_first_data(sql)
        tables = ("institution", "usage_record")
        before = [sql(f"SELECT * FROM {table}") for table in tables]
        types = sql("SELECT * FROM license_type")
        licenses = sql("SELECT * FROM license")
        keys = sql("SELECT * FROM api_key")
        holds = sql("SELECT * FROM hold")
    migrate(url)
    assert is_current(url)
    with plainly(url) as sql:
        assert [sql(f"SELECT * FROM {table}") for table in tables] == before
        assert sql("SELECT * FROM hold") == [(*holds[0], None, 0, None)]
        assert sql("SELECT * FROM license_type") == [(*types[0], 1, *[None] * 7, 0, None, None)]
        assert sql("SELECT * FROM api_key") == [(*keys[0], "key", None, None, None)]
        entries = sql("SELECT * FROM ledger_entry ORDER BY seq")
        assert [entry[:-2] for entry in entries] == [
            ("l", 1, "e", "grant", "institution", "license", 100, 100, None, None, "", "", 0, 0),
            ("l", 2, None, "charge", "license", "revenue", 7, 93, "h", "r", None, None, 0, 1),
        ]
        assert sql("SELECT * FROM license") == [(*licenses[0], entries[-1][-1], 0, 0, 0, 0, None)]
        if not is_postgres(url):
            assert sql("PRAGMA foreign_key_check") == []
        with pytest.raises(sql.rejections, match="append-only"):
            sql("DELETE FROM ledger_entry")


def test_stored_responses_stay_when_what_was_known_of_their_calls_goes(
    url: str, migrate_to: MigrateTo
) -> None:
    migrate_to(url, "0001")
    with plainly(url) as sql:
        put_first_data(sql)
    migrate_to(url, "0003")
    with plainly(url) as sql:
        sql("INSERT INTO response VALUES ('resp-a', 'l', NULL, 'h', 0, NULL, ?, ?, ?)", b"a", b"c", b"i")
        sql("INSERT INTO response_call VALUES ('l', 'call-1', 'resp-a', ?)", b"thought")
        responses = sql("SELECT * FROM response")
    migrate(url)
    with plainly(url) as sql:
        assert sql("SELECT * FROM response") == responses
        assert sql("SELECT * FROM response_call") == []


# To import what migrates takes longer than to migrate: it is done once, before they part.
THREE = """
import os, sys
import alembic.command
import quantized.storage.engine
from quantized.storage.migrate import migrate

def child():
    if pid := os.fork():
        return pid
    migrate(sys.argv[1])
    os._exit(0)

children = [child() for _ in range(3)]
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""


def test_several_processes_may_migrate_at_once(url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", THREE, url], check=False, capture_output=True, text=True, timeout=200
    )
    assert (ran.returncode, ran.stdout) == (0, "[0, 0, 0]\n"), ran.stderr
    assert is_current(url)


def test_asking_whether_it_is_current_imports_neither_alembic_nor_sqlalchemy(url: str) -> None:
    program = (
        "import sys; from quantized.storage.migrate import is_current; is_current(sys.argv[1]);"
        "assert not {'alembic', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, url], check=True)


def test_entries_cannot_be_changed_or_removed(database_url: str) -> None:
    with plainly(database_url) as sql:
        sql.many(DIRECTORY)
        sql(
            "INSERT INTO ledger_entry (license_id, seq, id, kind, debit, credit, amount, balance_after,"
            " created_at, hash) VALUES ('l', 1, 'e', 'grant', 'institution', 'license', 5, 5, 0, ?)",
            bytes(32),
        )
        statements = ["UPDATE ledger_entry SET amount = 6", "DELETE FROM ledger_entry"]
        if is_postgres(database_url):
            statements.append("TRUNCATE ledger_entry")
        for statement in statements:
            with pytest.raises(sql.rejections, match="append-only"):
                sql(statement)
        assert sql("SELECT amount FROM ledger_entry") == [(5,)]


def test_a_licence_row_that_would_owe_is_refused(database_url: str) -> None:
    insert = (
        "INSERT INTO license (id, license_type_id, name, unlimited, created_at, granted, used, held)"
        " VALUES (?, 't', '', {}, 0, 10, ?, ?)"
    )
    with plainly(database_url) as sql:
        sql.many(DIRECTORY)
        sql(insert.format("false"), "covered", 4, 6)
        sql(insert.format("true"), "unlimited", 40, 6)
        for used, held in ((4, 7), (-1, 0), (0, -1)):
            with pytest.raises(sql.rejections):
                sql(insert.format("false"), "owing", used, held)


def test_a_reader_holds_up_no_writer(database_url: str) -> None:
    engine = open_engine(database_url, busy_seconds=0.05)
    with reading(engine) as reader:
        before = inspect(reader).get_table_names()
        with engine.begin() as writer:
            writer.exec_driver_sql("CREATE TABLE anything (id TEXT)")
        assert inspect(reader).get_table_names() == before


def test_open_holds_of_before_are_counted(url: str, migrate_to: MigrateTo) -> None:
    migrate_to(url, "0010")
    with plainly(url) as sql:
        sql("INSERT INTO institution VALUES ('i', 'i', 'I', 0)")
        sql(
            "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
            " VALUES ('t', 'i', 't', 'T', 0, 0)"
        )
        for name in ("busy", "idle"):
            sql("INSERT INTO license (id, license_type_id, name, created_at) VALUES (?, 't', 'L', 0)", name)
        for number, state in enumerate(("open", "open", "settled")):
            sql(
                "INSERT INTO hold (id, license_id, amount, state, taken_at, expires_at, request_id, key_id,"
                " provider, model) VALUES (?, 'busy', 0, ?, 0, 9, 'r', 'k', 'demo', 'm')",
                f"h{number}",
                state,
            )
    migrate(url)
    with plainly(url) as sql:
        assert dict(sql("SELECT id, open_holds FROM license")) == {"busy": 2, "idle": 0}


def test_a_hold_is_in_one_of_three_states(database_url: str) -> None:
    with plainly(database_url) as sql:
        sql.many(DIRECTORY)
        insert = "INSERT INTO hold VALUES (?, 'l', 9, ?, NULL, 0, 1, 1, 'r', 'k', 'demo', 'm', NULL, 0, NULL)"
        for state in ("open", "settled", "released"):
            sql(insert, state, state)
        for state in ("", "OPEN", "opened"):
            with pytest.raises(Exception, match="ck_hold_state"):
                sql(insert, "x", state)
        with pytest.raises(Exception, match="ck_hold_state"):
            sql("UPDATE hold SET state = 'lost' WHERE id = 'open'")
