"""What can be wrong with a database, in the way of each kind, for as long as a `with` lasts."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg
from plain_sql import Plain, plainly
from psycopg.sql import SQL, Identifier

from quantized.storage.sqlite import sqlite_path

Trouble = Callable[[str], AbstractContextManager[object]]


def is_sqlite(url: str) -> bool:
    return url.startswith("sqlite:")


@contextmanager
def locked(url: str) -> Iterator[Plain]:
    """Somebody else's transaction holds up all who want to write; through it one may write."""
    with plainly(url) as sql:
        if is_sqlite(url):
            sql("BEGIN IMMEDIATE")
        else:
            sql("BEGIN")
            sql("LOCK license, response IN EXCLUSIVE MODE")  # reading goes on
        yield sql
        sql("ROLLBACK")


@contextmanager
def moved_away(url: str) -> Iterator[None]:
    """The database is not there, and comes back."""
    if is_sqlite(url):
        path = sqlite_path(url)
        beside = [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]
        moved = [file.rename(file.with_name(f"away-{file.name}")) for file in beside if file.exists()]
        yield
        for file in moved:
            file.rename(file.with_name(file.name.removeprefix("away-")))
        return
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        assert isinstance(name, str)
        admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
        hang_up(admin, name)
        yield
        admin.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)))


def hang_up(admin: psycopg.Connection, database: str) -> None:
    """Ends all connections to the database."""
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
    assert all(gone for (gone,) in admin.execute(ended, (database,)).fetchall())


@contextmanager
def full(url: str) -> Iterator[None]:
    """There is no room for another row."""
    if is_sqlite(url):
        # No file of this process may grow beyond what the database's log has already.
        path = sqlite_path(url)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path.with_name(path.name + "-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return
    with plainly(url) as sql:
        sql(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$"
        )
        for table in ("hold", "usage_record"):
            sql(f"CREATE TRIGGER no_room BEFORE INSERT ON {table} EXECUTE FUNCTION no_room()")
        yield
        sql("DROP FUNCTION no_room CASCADE")
