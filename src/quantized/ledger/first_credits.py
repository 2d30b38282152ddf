"""What a licence that a signed token made begins with, granted from the event loop."""

import asyncio

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.ledger.credits import grant
from quantized.storage.database import DatabaseUnusable
from quantized.storage.tokens import PendingCredits

_REASON = "first credits"
_ACTOR = "signed token"


class FirstCredits:
    def __init__(self, url: str, clock: Clock, *, patience: float = 1.8) -> None:
        """`patience` in seconds."""
        self._url = url
        self._clock = clock
        self._patience = patience

    async def grant(self, pending: PendingCredits) -> None:
        """Counts once, whoever says it. Raises LedgerUnavailable when the database does not take it while
        `patience` lasts; it may take it later."""
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.to_thread(self._grant, pending)
        except (TimeoutError, DatabaseUnusable) as error:
            cause = f"no credits could be granted to licence {pending.license_id}: {error}"
            raise LedgerUnavailable(cause=cause) from error

    def _grant(self, pending: PendingCredits) -> None:
        grant(
            self._url,
            entry_id=pending.entry_id,
            license_id=pending.license_id,
            amount=pending.amount,
            reason=_REASON,
            actor=_ACTOR,
            now_ms=self._clock.now_ms(),
        )
