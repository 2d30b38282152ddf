"""Ends holds that whoever took them can no longer end: their process died, or forgot them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec.structs import asdict

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.leases import Leases
from quantized.storage.records import OpenHold

_log = logging.getLogger("quantized.ledger")

_PAGE = 500

Reason = Literal["expired", "process died"]
"""Why a hold was released by somebody else than who took it, as its row says."""

_TOLD: Mapping[Reason, str] = {
    "expired": "a hold expired and was released",
    "process died": "a hold of a dead process was released",
}


async def release_all(ledger: GroupCommitLedger, holds: Sequence[OpenHold], reason: Reason) -> list[OpenHold]:
    """Releases what whoever took it can no longer end, and logs each with all that is known of it. Those that
    nobody else had ended. Raises LedgerUnavailable."""
    by_us = await asyncio.gather(*(ledger.expire(hold.id, reason) for hold in holds))
    ended = [hold for hold, released in zip(holds, by_us, strict=True) if released]
    for hold in ended:
        known = asdict(hold)
        known["hold_id"] = known.pop("id")
        _log.warning(_TOLD[reason], extra=known)
    return ended


class Sweeper:
    """Our own holds are over by our own clock, which dated them, and by the database's; those of others by
    the database's, and only once whoever took them has left the list of processes: until then the leases see
    to them."""

    def __init__(self, ledger: GroupCommitLedger, leases: Leases, owner: str | None, clock: Clock) -> None:
        """`owner` is this process, as its holds name it; `clock` is the one that dates its holds."""
        self._ledger = ledger
        self._leases = leases
        self._owner = owner
        self._clock = clock

    async def sweep(self) -> int:
        """Releases every hold whose time is over and logs each with all that is known of it, because its
        request may have cost something that nobody accounted for. How many there were.

        Raises LedgerUnavailable; what is left then is for the next time.
        """
        released = 0
        while True:
            expired = await self._leases.expired_holds(self._owner, self._clock.now_ms(), _PAGE)
            released += len(await release_all(self._ledger, expired, "expired"))
            if len(expired) < _PAGE:
                return released

    async def run(self, interval: float) -> None:
        """Sweeps now and every `interval` seconds until cancelled."""
        while True:
            try:
                await self.sweep()
            except LedgerUnavailable as error:
                _log.error("expired holds could not be released", extra={"cause": error.cause})
            await asyncio.sleep(interval)
