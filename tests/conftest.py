"""Databases of both kinds, for every room whose tests keep something in one."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from database_copies import ADMIN, KINDS, PostgresDatabases, Templates, run_databases
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is: no property is a promise of time.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: tests wait, for half of their time, until another process has begun
    or a time has passed."""
    return (os.cpu_count() or 1) + 2


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays until the end: looking through it for garbage, again and again,
    would take a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def postgres(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Callable[[], PostgresDatabases]]:
    """PostgreSQL databases, on a server that is started when somebody first asks for one."""
    base = tmp_path_factory.getbasetemp()
    shared = (base if worker_id == "master" else base.parent) / "postgres"
    # The commands that tests run would not know the variable, and refuse it.
    admin_url = os.environ.pop(ADMIN, None)
    lock = threading.Lock()
    opened: list[PostgresDatabases] = []
    with ExitStack() as stack:

        def databases() -> PostgresDatabases:
            with lock:
                if not opened:
                    shared.mkdir(exist_ok=True)
                    opened.append(stack.enter_context(run_databases(admin_url, shared)))
                return opened[0]

        yield databases


@pytest.fixture(scope="session")
def templates(
    tmp_path_factory: pytest.TempPathFactory, postgres: Callable[[], PostgresDatabases]
) -> Iterator[Templates]:
    made = Templates(tmp_path_factory.mktemp("templates"), postgres)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, templates: Templates, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database of its own; the test runs once on each kind."""
    with templates.copy(request.param, tmp_path / "quantized.db") as url:
        yield url
