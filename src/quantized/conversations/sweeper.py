"""Removes responses whose time is over."""

import asyncio
import logging

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.storage.turn_store import TurnStore
from quantized.storage.turns import ExpiredLeaf

_log = logging.getLogger("quantized.conversations")

_PAGE = 256

_MARGIN_MS = 60_000
"""For the settlement after it, and for clocks of several machines."""


class RetentionSweeper:
    """A response goes once it has expired and nothing continues it, so that a conversation that goes on keeps
    its beginning, and one that has ended goes from its end to its beginning.

    `longest_request` (seconds): a request that continues a response may have begun just before that expired,
    and be stored only so much later.
    """

    def __init__(self, turns: TurnStore, clock: Clock, longest_request: float) -> None:
        self._turns = turns
        self._clock = clock
        self._grace = round(longest_request * 1000) + _MARGIN_MS

    async def sweep(self) -> int:
        """How many were removed. Raises LedgerUnavailable; what is left then is for the next time."""
        before = self._clock.now_ms() - self._grace
        removed = 0
        page = await self._turns.expired(before, None, _PAGE)
        while page:
            removed += await self._remove_upwards(before, page)
            page = await self._turns.expired(before, page[-1], _PAGE)
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

    async def _remove_upwards(self, before: int, leaves: list[ExpiredLeaf]) -> int:
        """These, and whatever they alone kept."""
        removed = 0
        while leaves:
            removed += await self._turns.remove_expired(before, [leaf.id for leaf in leaves])
            above = {leaf.previous_id for leaf in leaves if leaf.previous_id is not None}
            leaves = await self._turns.expired_among(before, [*above])
        return removed
