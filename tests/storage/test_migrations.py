import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

import quantized.storage.migrations
from quantized.storage.database import DatabaseUnusable
from quantized.storage.engine import open_engine, reading
from quantized.storage.migrate import HEAD, is_current, migrate
from quantized.storage.schema import metadata
from quantized.storage.sqlite import connect, sqlite_path

FIRST_SCHEMA_DATA = """
INSERT INTO institution VALUES ('i', 'uni', 'University', 0);
INSERT INTO license_type VALUES ('t', 'i', 'course', 'Course', 12000, '{}', NULL, 0, 0, 0);
INSERT INTO license VALUES ('l', 't', 'bio', 'Biology', 0, 1, 0, 100, 7, 0, 2);
INSERT INTO api_key (id, license_id, digest, prefix, name, created_at) VALUES ('k', 'l', X'01', 'sk', 'K', 0);
INSERT INTO hold VALUES ('h', 'l', 9, 'settled', NULL, 0, 1, 1, 'r', 'k', 'demo', 'm');
INSERT INTO ledger_entry VALUES ('l', 1, 'e', 'grant', 100, 100, NULL, NULL, '', '', 0, 0);
INSERT INTO ledger_entry VALUES ('l', 2, NULL, 'charge', -7, 93, 'h', 'r', NULL, NULL, 0, 1);
INSERT INTO usage_record VALUES (
    'h', 'r', 'l', 'k', NULL, 'chat', 'demo', 'm', NULL, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 7, 7, 0, 93, 0, NULL,
    'completed', 0, NULL, 5, 1);
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/db/test.db"


def statements(url: str) -> set[tuple[str, str]]:
    with closing(connect(url)) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master"
            " WHERE sql IS NOT NULL AND type IN ('table', 'index') AND name != 'alembic_version'"
        ).fetchall()
    return {(name, " ".join(sql.split())) for name, sql in rows}


def migrate_to(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(quantized.storage.migrations.__path__[0])))
    with open_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_migrations_build_exactly_the_tables_of_the_schema(url: str, tmp_path: Path) -> None:
    migrate(url)
    with reading(open_engine(url)) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    direct = f"sqlite:///{tmp_path}/direct.db"
    with open_engine(direct).begin() as connection:
        metadata.create_all(connection)
    assert statements(url) == statements(direct)


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(quantized.storage.migrations.__path__[0])))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrating_again_changes_nothing(url: str) -> None:
    assert not is_current(url)
    migrate(url)
    assert is_current(url)
    before = statements(url)
    migrate(url)
    assert statements(url) == before


def test_a_database_of_the_first_schema_keeps_what_is_in_it(url: str) -> None:
    migrate_to(url, "0001")
    with closing(connect(url)) as connection:
        connection.executescript(FIRST_SCHEMA_DATA)
        tables = ("institution", "usage_record")
        before = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
        types = connection.execute("SELECT * FROM license_type").fetchall()
        licenses = connection.execute("SELECT * FROM license").fetchall()
        keys = connection.execute("SELECT * FROM api_key").fetchall()
        holds = connection.execute("SELECT * FROM hold").fetchall()
    migrate(url)
    assert is_current(url)
    with closing(connect(url)) as connection:
        assert [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables] == before
        assert connection.execute("SELECT * FROM hold").fetchall() == [(*holds[0], None)]
        assert connection.execute("SELECT * FROM license_type").fetchall() == [
            (*types[0], 1, None, None, *[None] * 4, None, 0)
        ]
        assert connection.execute("SELECT * FROM api_key").fetchall() == [
            (*keys[0], "key", None, None, None)
        ]
        entries = connection.execute("SELECT * FROM ledger_entry ORDER BY seq").fetchall()
        assert [entry[:-2] for entry in entries] == [
            ("l", 1, "e", "grant", "institution", "license", 100, 100, None, None, "", "", 0, 0),
            ("l", 2, None, "charge", "license", "revenue", 7, 93, "h", "r", None, None, 0, 1),
        ]
        assert connection.execute("SELECT * FROM license").fetchall() == [(*licenses[0], entries[-1][-1])]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("DELETE FROM ledger_entry")


def test_stored_responses_stay_when_what_was_known_of_their_calls_goes(url: str) -> None:
    migrate_to(url, "0001")
    with closing(connect(url)) as connection:
        connection.executescript(FIRST_SCHEMA_DATA)
    migrate_to(url, "0003")
    with closing(connect(url)) as connection:
        connection.execute("INSERT INTO response VALUES ('resp-a', 'l', NULL, 'h', 0, NULL, 'a', 'c', 'i')")
        connection.execute("INSERT INTO response_call VALUES ('l', 'call-1', 'resp-a', 'thought')")
        responses = connection.execute("SELECT * FROM response").fetchall()
    migrate(url)
    with closing(connect(url)) as connection:
        assert connection.execute("SELECT * FROM response").fetchall() == responses
        assert connection.execute("SELECT * FROM response_call").fetchall() == []


def test_several_processes_may_migrate_at_once(url: str) -> None:
    program = "import sys; from quantized.storage.migrate import migrate; migrate(sys.argv[1])"
    children = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]
    assert [child.wait(30) for child in children] == [0, 0, 0]
    assert is_current(url)


def test_asking_whether_it_is_current_imports_neither_alembic_nor_sqlalchemy(url: str) -> None:
    program = (
        "import sys; from quantized.storage.migrate import is_current; is_current(sys.argv[1]);"
        "assert not {'alembic', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, url], check=True)


def test_files_are_for_their_owner_alone(url: str) -> None:
    previous = os.umask(0)
    try:
        migrate(url)
        with closing(connect(url)) as connection:
            connection.execute("CREATE TABLE anything (id)")
            folder = sqlite_path(url).parent
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes == {"test.db": 0o600, "test.db-wal": 0o600, "test.db-shm": 0o600}


def test_a_connection_is_set_up_for_sharing(url: str) -> None:
    with closing(connect(url)) as connection:
        pragmas = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 2000}


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://localhost/quantized", "PostgreSQL is not supported yet"),
        ("postgresql+psycopg://localhost/quantized", "PostgreSQL is not supported yet"),
        ("mysql://localhost/quantized", "begins with 'mysql'"),
        ("quantized.db", "sqlite:///path"),
        ("sqlite://quantized.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "must be a file"),
        ("sqlite:///:memory:", "must be a file"),
        ("sqlite:///quantized.db?mode=ro", "no options"),
    ],
)
def test_a_url_that_cannot_work_is_refused_plainly(url: str, says: str) -> None:
    with pytest.raises(DatabaseUnusable, match=says):
        open_engine(url)


def test_a_file_that_cannot_be_a_database_is_refused_plainly(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, but long enough to be looked at " * 40)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        is_current(f"sqlite:///{tmp_path}/text")
    with pytest.raises(DatabaseUnusable, match="cannot open"):
        is_current(f"sqlite:///{tmp_path}/text/below.db")


def test_entries_cannot_be_changed_or_removed(url: str) -> None:
    migrate(url)
    with closing(connect(url)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(
            "INSERT INTO ledger_entry (license_id, seq, id, kind, debit, credit, amount, balance_after,"
            " created_at, hash) VALUES ('l', 1, 'e', 'grant', 'institution', 'license', 5, 5, 0, X'00')"
        )
        for statement in ("UPDATE ledger_entry SET amount = 6", "DELETE FROM ledger_entry"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_a_licence_row_that_would_owe_is_refused(url: str) -> None:
    migrate(url)
    with closing(connect(url)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        insert = (
            "INSERT INTO license (id, license_type_id, name, unlimited, created_at, granted, used, held)"
            " VALUES (?, 't', '', ?, 0, 10, ?, ?)"
        )
        connection.execute(insert, ("covered", 0, 4, 6))
        connection.execute(insert, ("unlimited", 1, 40, 6))
        for used, held in ((4, 7), (-1, 0), (0, -1)):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(insert, ("owing", 0, used, held))


def test_a_reader_holds_up_no_writer(url: str) -> None:
    migrate(url)
    engine = open_engine(url, busy_seconds=0.05)
    with reading(engine) as reader:
        before = inspect(reader).get_table_names()
        with engine.begin() as writer:
            writer.exec_driver_sql("CREATE TABLE anything (id)")
        assert inspect(reader).get_table_names() == before
