"""The life of one serving process: it starts, serves, and on a signal lets go of everything in order."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import cast

import uvicorn

from quantized import logs
from quantized.app import Application
from quantized.listening import BACKLOG, listen, url_of
from quantized.settings import Settings

_log = logging.getLogger("quantized")

_TICK_SECONDS = 0.02

_WRITING_SECONDS = 7.0
"""How long charges may be written beyond the time for requests. A supervisor kills after ten."""
_HURRIED_SECONDS = 1.8
"""The same after a second signal."""


def serve(settings: Settings) -> None:
    """Serves in this process until SIGTERM or SIGINT. The database must be migrated. Raises CannotListen."""
    logs.configure(settings.log_level)
    listening = listen(settings.host, settings.port)
    url = url_of(listening)
    run(settings, listening, lambda: _log.info("listening", extra={"url": url}))


def run(
    settings: Settings, listening: socket.socket, started: Callable[[], None], worker: int | None = None
) -> None:
    """Serves what comes to `listening`, a bound socket, which is closed afterwards; says `started` once it is
    accepted. The log names the `worker`, where it is one of several.

    The first signal lets requests end for `shutdown_seconds`, a second one ends them at once: either way each
    is settled. A worker is told of the second by its supervisor (SIGUSR1), because a service manager's first
    reaches both. Raises SystemExit where it cannot start; the log says why.
    """
    # What start-up made stays for good, and requests make no cycles: looking for garbage among them every
    # 700 allocations took 8 % of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    stop = _Stop(settings.shutdown_seconds)
    application = Application(settings, worker, stop.leave_by)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=cast("type[asyncio.Protocol]", application.connection),
        ws="none",
        interface="asgi3",
        backlog=BACKLOG,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = _Server(config, stop, started)
    if worker is not None:
        server.hurried_by = frozenset({signal.SIGUSR1})
        signal.signal(signal.SIGUSR1, server.handle_exit)
    with listening:
        server.run(sockets=[listening])
    if not server.started:
        raise SystemExit(1)


class _Stop:
    """How long everything may take once we are told to stop. Times are the loop's."""

    def __init__(self, patience: float) -> None:
        """`patience` in seconds: for requests under way when it is told to stop."""
        self._patience = patience
        self._writing = patience + _WRITING_SECONDS
        self._began = 0.0
        self.hurried = False

    def begin(self) -> float:
        """Until when requests may go on."""
        self._began = asyncio.get_running_loop().time()
        return self._began + self._patience

    def leave_by(self) -> float:
        """Until when charges may be written."""
        if self.hurried:
            since = asyncio.get_running_loop().time() - self._began
            self._writing = min(self._writing, since + _HURRIED_SECONDS)
        return self._began + self._writing


class _Server(uvicorn.Server):
    """With a stop of our own: the package's leaves resources open, and holds with them, when hurried."""

    def __init__(self, config: uvicorn.Config, stop: _Stop, started: Callable[[], None]) -> None:
        super().__init__(config)
        self.hurried_by = frozenset({signal.SIGTERM, signal.SIGINT})
        self._stop = stop
        self._tell_started = started

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.force_exit = self.force_exit or (self.should_exit and sig in self.hurried_by)
        self._stop.hurried = self.force_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _log.info("serving", extra={"pid": os.getpid()})
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listening in sockets or ():
            listening.close()
        state = self.server_state
        for connection in tuple(state.connections):
            connection.shutdown()
        _log.info("stopping", extra={"requests": len(state.tasks)})
        await self._quiet()
        if state.tasks:
            _log.warning("requests are ended by the stop", extra={"requests": len(state.tasks)})
        for connection in tuple(state.connections):
            connection.shutdown()
        for task in tuple(state.tasks):
            task.cancel()
        await self.lifespan.shutdown()
        _log.info("stopped")

    async def _quiet(self) -> None:
        """Returns when nobody is connected any more, or waited for."""
        now = asyncio.get_running_loop().time
        until = self._stop.begin()
        state = self.server_state
        # The package's own loop looks like this, and nobody tells when its sets are empty.
        while (state.connections or state.tasks) and not self.force_exit and now() < until:  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)
