"""Bringing a database to this version's schema."""

from contextlib import closing
from pathlib import Path

from quantized.storage.database import DatabaseUnusable, database

HEAD = "0015"
"""The newest migration."""

_BUSY_SECONDS = 2.0
_ANSWER_SECONDS = 5.0
_MIGRATING_BUSY_SECONDS = 30.0


def is_current(url: str) -> bool:
    """Whether `migrate` would have nothing to do. Creates no tables.

    Raises DatabaseUnusable.
    """
    way = database(url)
    with closing(way.connect_at_leisure(_BUSY_SECONDS, _ANSWER_SECONDS)) as connection:
        try:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        except way.no_such_table:
            return False
        except way.errors as error:
            raise DatabaseUnusable(f"the database did not answer: {error}") from error
    return rows == [(HEAD,)]


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
        with database_errors(), open_engine(url, busy_seconds=_MIGRATING_BUSY_SECONDS).begin() as connection:
            for statement in database(url).before_altering:
                connection.exec_driver_sql(statement)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise DatabaseUnusable(f"this version does not know the database's schema: {error}") from error
