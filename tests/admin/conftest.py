"""Furnished databases of both kinds, each behind a gateway's administration."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from admin_world import CLOCK, Gateway, World, furnish, served
from database_copies import KINDS, PostgresDatabases, Templates

from quantized.administration.administration import Administration


@pytest.fixture(scope="session")
def worlds() -> dict[str, World]:
    """What the templates hold, by the kind of database."""
    return {}


@pytest.fixture(scope="session")
def furnished(
    tmp_path_factory: pytest.TempPathFactory,
    postgres: Callable[[], PostgresDatabases],
    worlds: dict[str, World],
) -> Iterator[Templates]:
    def prepare(url: str) -> None:
        worlds["sqlite" if url.startswith("sqlite") else "postgresql"] = furnish(url)

    made = Templates(tmp_path_factory.mktemp("furnished"), postgres, prepare)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def gateway(
    request: pytest.FixtureRequest, furnished: Templates, worlds: dict[str, World], tmp_path: Path
) -> Iterator[Gateway]:
    """On a database of its own; the test runs once on each kind."""
    with furnished.copy(request.param, tmp_path / "quantized.db") as url:
        desk = Administration(url, CLOCK, kept=4)
        lines: list[object] = []
        with served(lambda: desk, lines) as port:  # type: ignore[arg-type]
            gateway = Gateway(port, url, worlds[request.param], desk)
            gateway.lines = lines  # type: ignore[assignment]
            yield gateway
            gateway.client.close()
        # Also where nobody asked over HTTP.
        desk.close()
