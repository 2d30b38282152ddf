from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conversation_world import add_license
from database_copies import PostgresDatabases, Templates


@pytest.fixture(scope="session")
def conversation_templates(
    tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], PostgresDatabases]
) -> Iterator[Templates]:
    """Databases with two licences."""
    made = Templates(tmp_path_factory.mktemp("conversations"), postgres, prepare)
    yield made
    made.close()


@pytest.fixture(params=("sqlite", "postgresql"))
def url(request: pytest.FixtureRequest, conversation_templates: Templates, tmp_path: Path) -> Iterator[str]:
    with conversation_templates.copy(request.param, tmp_path / "conversations.db") as url:
        yield url


def prepare(url: str) -> None:
    add_license(url, "mine")
    add_license(url, "theirs")
