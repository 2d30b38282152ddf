"""Ends holds that whoever took them can no longer end: their process died, or forgot them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec.structs import asdict

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.records import LedgerStore, OpenHold

_log = logging.getLogger("quantized.ledger")

_PAGE = 500

Reason = Literal["expired", "process died"]
"""Why a hold was released by somebody else than who took it, as its row says."""

_TOLD: Mapping[Reason, str] = {
    "expired": "a hold expired and was released",
    "process died": "a hold of a dead process was released",
}


async def release_all(ledger: GroupCommitLedger, holds: Sequence[OpenHold], reason: Reason) -> int:
    """Releases what whoever took it can no longer end, and logs each with all that is known of it. How many
    there were that nobody else had ended. Raises LedgerUnavailable."""
    ended = await asyncio.gather(*(ledger.expire(hold.id, reason) for hold in holds))
    for hold, by_us in zip(holds, ended, strict=True):
        if by_us:
            known = asdict(hold)
            known["hold_id"] = known.pop("id")
            _log.warning(_TOLD[reason], extra=known)
    return sum(ended)


class Sweeper:
    """`store` is its own, for reading; the releases go through the ledger like everybody's."""

    def __init__(self, ledger: GroupCommitLedger, store: LedgerStore, clock: Clock) -> None:
        self._ledger = ledger
        self._store = store
        self._clock = clock

    async def sweep(self) -> int:
        """Releases every hold whose time is over and logs each with all that is known of it, because its
        request may have cost something that nobody accounted for. How many there were.

        Raises LedgerUnavailable; what is left then is for the next time.
        """
        released = 0
        while True:
            expired = await asyncio.to_thread(self._store.expired_holds, self._clock.now_ms(), _PAGE)
            released += await release_all(self._ledger, expired, "expired")
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
