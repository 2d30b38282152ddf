import shutil
from pathlib import Path

import pytest
from conversation_world import add_license, url_of

from quantized.storage.migrate import migrate


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with two licences to copy: migrating takes half a second."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(url_of(path))
    add_license(url_of(path), "mine")
    add_license(url_of(path), "theirs")
    return path


@pytest.fixture
def url(template: Path, tmp_path: Path) -> str:
    path = tmp_path / "conversations.db"
    shutil.copy(template, path)
    return url_of(path)
