"""A PostgreSQL of the benchmark's own, from the development package, with all that makes a commit durable."""

import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.machine import HERE, LOAD_CORE, process_tree_seconds

DURABLE = {"fsync": "on", "full_page_writes": "on", "autovacuum": "on", "shared_buffers": "128MB"}


@dataclass(frozen=True)
class DatabaseServer:
    """A running server, as if it were another machine's: it works where the load comes from."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Of all its processes that live."""
        return process_tree_seconds(self.pid)


def start_postgres(stack: ExitStack) -> DatabaseServer:
    """Stopped, and its data removed, when the stack is closed."""
    sys.path.append(str(HERE.parent / "tests" / "databases"))
    from postgres_server import PostgresServer  # noqa: PLC0415  the tests' own

    # Whoever runs the server must be able to reach its folder.
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-postgres-", dir="/tmp")))
    folder.chmod(0o755)
    server = PostgresServer(folder / "server", **DURABLE)
    server.start()
    stack.callback(server.stop)
    os.sched_setaffinity(server.pid, {LOAD_CORE})
    return DatabaseServer(server.url, server.pid)
