from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

import quantized.storage.migrations
from quantized.storage.engine import open_engine


@pytest.fixture
def migrate_to() -> Callable[[str, str], None]:
    """Brings the database with a URL to an earlier revision."""

    def migrate_to(url: str, revision: str) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(quantized.storage.migrations.__path__[0])))
        with open_engine(url).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

    return migrate_to
