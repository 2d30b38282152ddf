"""Removes responses whose time is over."""

import asyncio
import logging

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.storage.sqlite_turns import ExpiredLeaf, SqliteTurns

_log = logging.getLogger("quantized.conversations")

_PAGE = 256


class RetentionSweeper:
    """A response goes once it has expired and nothing continues it, so that a conversation that goes on keeps
    its beginning, and one that has ended goes from its end to its beginning."""

    def __init__(self, turns: SqliteTurns, clock: Clock) -> None:
        self._turns = turns
        self._clock = clock

    async def sweep(self) -> int:
        """How many were removed. Raises LedgerUnavailable; what is left then is for the next time."""
        now = self._clock.now_ms()
        removed = 0
        page = await self._turns.expired(now, None, _PAGE)
        while page:
            removed += await self._remove_upwards(now, page)
            page = await self._turns.expired(now, page[-1], _PAGE)
        return removed

    async def run(self, interval: float) -> None:
        """Sweeps now and every `interval` seconds until cancelled."""
        while True:
            try:
                removed = await self.sweep()
                _log.info("expired responses were removed", extra={"count": removed})
            except LedgerUnavailable as error:
                _log.error("expired responses could not be removed", extra={"cause": error.cause})
            await asyncio.sleep(interval)

    async def _remove_upwards(self, now: int, leaves: list[ExpiredLeaf]) -> int:
        """These, and whatever they alone kept."""
        removed = 0
        while leaves:
            removed += await self._turns.remove_expired(now, [leaf.id for leaf in leaves])
            above = {leaf.previous_id for leaf in leaves if leaf.previous_id is not None}
            leaves = await self._turns.expired_among(now, [*above])
        return removed
