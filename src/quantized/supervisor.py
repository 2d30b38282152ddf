"""Several worker processes at one address: started, watched, replaced and stopped together.

Workers are fresh processes, and all they share is the address and the database. Each listens once it can
serve; one that dies takes along the connections that it had, and the others take those that come.
"""

import asyncio
import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from quantized import logs
from quantized.listening import port_of, reserve, url_of
from quantized.settings import Settings

_log = logging.getLogger("quantized.workers")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0
"""Seconds before a worker that died is replaced. Each further death within a minute doubles it."""
_STEADY_SECONDS = 60.0
_SETTLING_SECONDS = 10.0
"""What a worker is given beyond the time for its requests, before it is killed."""

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


class CannotStart(Exception):
    """A worker could not start; it has said why itself."""


def supervise(settings: Settings, count: int) -> None:
    """Serves with `count` workers until SIGTERM or SIGINT; a second signal ends requests at once.

    The database must be migrated. Raises CannotListen, CannotStart.
    """
    logs.configure(settings.log_level)
    with reserve(settings.host, settings.port) as address:
        chosen = replace(settings, port=port_of(address))
        asyncio.run(Supervisor(chosen, count, url_of(address)).run())


def cores() -> int:
    """How many workers this machine, or the part of it that is ours, keeps busy."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_MAX.read_text().split()
    except (OSError, ValueError):
        return here
    return here if quota == "max" else max(1, min(here, -(-int(quota) // int(period))))


class Supervisor:
    def __init__(self, settings: Settings, count: int, url: str) -> None:
        self._url = url
        self._patience = settings.shutdown_seconds + _SETTLING_SECONDS
        self._stopping = asyncio.Event()
        self._serving = 0
        self._workers = [_Worker(n + 1, settings, self._stopping) for n in range(count)]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        lives = [asyncio.create_task(worker.live(self._started)) for worker in self._workers]
        told = asyncio.create_task(self._stopping.wait())
        ended, _ = await asyncio.wait((told, *lives), return_when=asyncio.FIRST_COMPLETED)
        if self._stopping.is_set():
            await self._ended(lives)
            return
        self.stop()
        await self._ended(lives)
        for life in ended:
            life.result()

    def _started(self) -> None:
        """Called once for each worker."""
        self._serving += 1
        if self._serving == len(self._workers):
            _log.info("listening", extra={"url": self._url, "workers": self._serving})

    def stop(self) -> None:
        """What the first signal means, and every further one."""
        how = signal.SIGUSR1 if self._stopping.is_set() else signal.SIGTERM
        self._stopping.set()
        for worker in self._workers:
            worker.tell(how)

    async def _ended(self, lives: Sequence[asyncio.Task[None]]) -> None:
        """Counted from the signal: whoever was being made at that moment has no longer than the others."""
        _, left = await asyncio.wait(lives, timeout=self._patience)
        if left:
            for worker in self._workers:
                worker.tell(signal.SIGKILL)
        await asyncio.gather(*lives, return_exceptions=True)


class _Worker:
    """A place among the workers, and the process that fills it now."""

    def __init__(self, number: int, settings: Settings, stopping: asyncio.Event) -> None:
        self._number = number
        self._settings = settings
        self._stopping = stopping
        self._process: asyncio.subprocess.Process | None = None
        self._line: socket.socket | None = None
        """To the process: its settings come through it, its readiness goes back. Whoever is left alone at an
        end of it stops."""

    async def live(self, started: Callable[[], None]) -> None:
        """Until told to stop. Raises CannotStart where the first process could not."""
        await self._start()
        started()
        await self._keep()

    async def _start(self) -> None:
        """Returns when the process accepts connections. Raises CannotStart."""
        if self._stopping.is_set():
            raise CannotStart("told to stop")
        loop = asyncio.get_running_loop()
        line, theirs = socket.socketpair()
        line.setblocking(False)
        with theirs:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "quantized.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                # What a terminal signals to everybody is ours to hand on.
                process_group=0,
            )
        self._close()
        self._line = line
        if self._stopping.is_set():
            # Whoever told the others did not know of this one yet.
            self.tell(signal.SIGTERM)
        with suppress(OSError):
            await loop.sock_sendall(line, pickle.dumps((self._settings, self._number)))
            if await loop.sock_recv(line, 1):
                return
        await self._ended()
        raise CannotStart(f"worker {self._number} could not start: {_cause(process.returncode)}")

    async def _keep(self) -> None:
        """Replaces the process whenever it dies, until told to stop."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        since = loop.time()
        while True:
            process = await self._ended()
            if process is None or self._stopping.is_set():
                return
            if loop.time() - since > _STEADY_SECONDS:
                pause = _FIRST_PAUSE
            known = {"worker": self._number, "pid": process.pid, "cause": _cause(process.returncode)}
            _log.error("a worker died", extra={**known, "replaced_in_seconds": pause})
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(2 * pause, _LONGEST_PAUSE)
            since = loop.time()
            # Why it could not start it says itself, and that it died is told above.
            with suppress(CannotStart):
                await self._start()
                _log.info("a worker was replaced", extra={"worker": self._number})

    def tell(self, what: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(what)
            if what == signal.SIGKILL:
                _log.error("a worker did not stop and is killed", extra={"worker": self._number})

    async def _ended(self) -> asyncio.subprocess.Process | None:
        """The process, once it has ended; None where there was none."""
        if self._process is not None:
            await self._process.wait()
        self._close()
        return self._process

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()


def _cause(status: int | None) -> str:
    if status is None or status >= 0:
        return f"exit status {status}"
    return signal.Signals(-status).name
