"""Bringing a database to this version's schema."""

import sqlite3
from contextlib import closing
from pathlib import Path

from quantized.storage import sqlite
from quantized.storage.database import DatabaseUnusable, is_postgres

HEAD = "0006"
"""The newest migration."""

_VERSIONS = "SELECT version_num FROM alembic_version"


def is_current(url: str) -> bool:
    """Whether `migrate` would have nothing to do. Creates no tables.

    Raises DatabaseUnusable.
    """
    return _versions(url) == [(HEAD,)]


def migrate(url: str) -> None:
    """Brings the database up to date. May be said again, and by several processes at once: all steps run in
    one transaction that has the right to write from its beginning, and the second finds nothing to do.

    Raises DatabaseUnusable, also where the database is newer than this program.
    """
    # Alembic's command module takes most of a second to import, which a start that finds nothing to migrate
    # must not pay.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    from quantized.storage.engine import open_engine  # noqa: PLC0415
    from quantized.storage.faults import database_errors  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with database_errors(), open_engine(url, busy_seconds=30).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseUnusable(f"this version does not know the database's schema: {error}") from error


def _versions(url: str) -> list[tuple[str]] | None:
    """None for a database that was never migrated."""
    if not is_postgres(url):
        with closing(sqlite.connect(url)) as connection:
            try:
                return connection.execute(_VERSIONS).fetchall()
            except sqlite3.OperationalError:
                return None
    import psycopg  # noqa: PLC0415  a driver that SQLite has no use for

    from quantized.storage import postgres  # noqa: PLC0415

    with closing(postgres.connect(url)) as session:
        try:
            return session.execute(_VERSIONS).fetchall()
        except psycopg.errors.UndefinedTable:
            return None
        except psycopg.Error as error:
            raise DatabaseUnusable(f"the database did not answer: {error}") from error
