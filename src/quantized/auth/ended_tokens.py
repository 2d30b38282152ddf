"""Removes the keys of signed tokens that ended long ago: a token for each hour and person leaves many."""

import asyncio
import logging
from typing import Protocol

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock

_log = logging.getLogger("quantized.auth")

_KEPT_MS = 30 * 86_400_000
"""For how long after its end a token is still listed among the keys of its licence."""
_PAGE = 200


class TokenKeys(Protocol):
    async def remove_ended(self, before: int, after: str, limit: int) -> list[str]:
        """See `storage.tokens.SqlTokenStore`."""


class EndedTokens:
    """A token without an end keeps its key for good. What was charged stays with the id of the key."""

    def __init__(self, keys: TokenKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def sweep(self) -> int:
        """How many were removed. Raises LedgerUnavailable; what is left then is for the next time."""
        before = self._clock.now_ms() - _KEPT_MS
        removed, after = 0, ""
        while page := await self._keys.remove_ended(before, after, _PAGE):
            removed, after = removed + len(page), page[-1]
        return removed

    async def run(self, interval: float) -> None:
        """Sweeps now and every `interval` seconds until cancelled."""
        while True:
            try:
                removed = await self.sweep()
                _log.info("keys of tokens that ended were removed", extra={"count": removed})
            except LedgerUnavailable as error:
                _log.error("keys of tokens that ended could not be removed", extra={"cause": error.cause})
            await asyncio.sleep(interval)
