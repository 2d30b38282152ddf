"""Whoever dies leaves holds behind, and whoever is left releases them.

Each process says every two seconds that it is there, in the database's time. One that has not said so for
ten is taken for dead; one whose machine says that it is gone, at once. So holds outlive their process by 15
seconds at most, as long as one process is left or started. And who could not say it for ten seconds takes no
hold until it can (`tenure`).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from msgspec import Struct

from quantized.core.errors import LedgerUnavailable
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import release_all
from quantized.ledger.tenure import Tenure
from quantized.storage.leases import Leases, ProcessRow

_log = logging.getLogger("quantized.ledger")

_FORGOTTEN_MS = 3_600_000
"""A process that was paused for less may still come back and take a hold before it says that it is there."""
_PAGE = 500
_RETRY_SECONDS = 0.25
"""After a sign that was not taken; doubled up to half an interval. A whole one more, and an outage after it
that breaks nobody else's lease would let us look dead."""


class LeaseTimes(Struct, frozen=True):
    """Milliseconds. Every `interval` a process says that it is there; unseen for `term` it is taken for dead.

    A longer gap than `gap` between two of our own signs breaks our lease: the database was away, or we were
    asleep, and all the others look dead then. Together with an interval and the wait for an answer it is less
    than the term, so that who rides out the same outage looks dead to nobody whose lease it did not break.
    """

    interval: int = 2_000
    term: int = 10_000
    gap: int = 5_000


class Identity(Struct, frozen=True):
    """A process. `machine` is where its `pid` means something, None where nobody can tell."""

    id: str
    host: str
    machine: str | None
    pid: int


class Lease:
    """What one process may conclude from what it saw. Pure: times are the database's, in milliseconds."""

    def __init__(self, me: Identity, times: LeaseTimes) -> None:
        self._me = me
        self._times = times
        self._renewed_at: int | None = None
        self._unbroken_since = 0

    def renewed(self, now: int) -> None:
        last = self._renewed_at
        if last is None or not last <= now <= last + self._times.gap:
            self._unbroken_since = now
        self._renewed_at = now

    def dead(self, processes: Iterable[ProcessRow], runs: Callable[[int], bool]) -> list[ProcessRow]:
        """Those of `processes` that are no more; `runs` tells of this machine's."""
        return [
            process for process in processes if process.id != self._me.id and self._is_dead(process, runs)
        ]

    def _is_dead(self, process: ProcessRow, runs: Callable[[int], bool]) -> bool:
        here = process.machine is not None and process.machine == self._me.machine
        # Its number may have been given to us since.
        if here and (process.pid == self._me.pid or not runs(process.pid)):
            return True
        now, term = self._renewed_at, self._times.term
        if now is None or now - self._unbroken_since < term:
            return False
        # Seen in the future: the database's clock was set back, and by now whoever lives has been seen since.
        return not now - term <= process.seen_at <= now + term

    def is_forgotten(self, process: ProcessRow) -> bool:
        """Whether a dead process is so long dead that nobody needs to look for its holds any more."""
        return self._renewed_at is not None and abs(self._renewed_at - process.seen_at) > _FORGOTTEN_MS


class LeaseKeeper:
    """Keeps this process's lease, and ends what others left behind."""

    def __init__(
        self,
        me: Identity,
        tenure: Tenure,
        ledger: GroupCommitLedger,
        leases: Leases,
        runs: Callable[[int], bool],
        times: LeaseTimes,
    ) -> None:
        """`tenure` is told of each renewal. `runs`: whether a process of our machine is there."""
        self._me = me
        self._tenure = tenure
        self._times = times
        self._lease = Lease(me, times)
        self._ledger = ledger
        self._leases = leases
        self._runs = runs

    async def renew(self) -> list[ProcessRow]:
        """Says that we are there; who else is, or was. To be said before the first hold is taken. Raises
        LedgerUnavailable."""
        me = self._me
        asked = self._tenure.moment()
        processes = await self._leases.renew(me.id, me.host, me.machine, me.pid)
        now = next(process.seen_at for process in processes if process.id == me.id)
        self._lease.renewed(now)
        self._tenure.renewed(asked, now)
        return processes

    async def tick(self) -> int:
        """Renews, and releases the holds of those who have not. How many those were. Raises
        LedgerUnavailable."""
        processes = await self.renew()
        dead = self._lease.dead(processes, self._runs)
        released = 0
        # It may be a few thousand processes, where none of those on their machine ever ended in order.
        for first in range(0, len(dead), _PAGE):
            released += await self._release({process.id: process for process in dead[first : first + _PAGE]})
        for process in dead:
            if self._lease.is_forgotten(process):
                await self._leases.forget(process)
        return released

    async def run(self) -> None:
        """Until cancelled."""
        interval = self._times.interval / 1000
        retry = min(_RETRY_SECONDS, interval)
        while True:
            try:
                await self.tick()
            except LedgerUnavailable as error:
                _log.error("the lease was not renewed", extra={"cause": error.cause})
                pause = retry
                retry = min(2 * retry, interval / 2)
            else:
                pause = interval
                retry = min(_RETRY_SECONDS, interval)
            await asyncio.sleep(pause)

    async def _release(self, dead: dict[str, ProcessRow]) -> int:
        released = 0
        told: set[str] = set()
        while True:
            holds = await self._leases.open_holds([*dead], _PAGE)
            ended = await release_all(self._ledger, holds, "process died")
            released += len(ended)
            # Who left nothing behind is nobody's business, and what was left is ended by one of us.
            for owner in {hold.owner for hold in ended if hold.owner is not None} - told:
                told.add(owner)
                _log.warning(
                    "a process died; its holds are released",
                    extra={"owner": owner, "host": dead[owner].host, "pid": dead[owner].pid},
                )
            if len(holds) < _PAGE:
                return released
