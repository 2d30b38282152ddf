from pathlib import Path

import pytest
from ledger_world import url_of

from quantized.storage.migrate import migrate


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite database to copy: migrating takes half a second."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(url_of(path))
    return path


@pytest.fixture
def url(database_url: str) -> str:
    return database_url
