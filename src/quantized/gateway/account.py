"""The money side of one request: one hold, and exactly one end of it."""

import asyncio
import logging
from collections.abc import Awaitable

from quantized.catalog.pricing import price
from quantized.core.errors import Fault, InsufficientCredits, RateLimited
from quantized.core.limits import NO_LIMITS, Standing
from quantized.core.ports import Caller, Charge, Clock, Hold, HoldOrder, Ledger, Outcome, Receipt
from quantized.core.turns import StoredTurn
from quantized.core.usage import Bill, Usage
from quantized.gateway.journal import Journal
from quantized.gateway.metering import Quote

_log = logging.getLogger("quantized.gateway")

_GRACE_MS = 60_000
"""What a hold outlives the longest request by, before the sweeper takes it for forgotten."""


CLIENT_LEFT = "the client left"
"""The message of a cancellation that says so; any other means that we are stopping."""


def client_left(stop: asyncio.CancelledError) -> bool:
    return stop.args == (CLIENT_LEFT,)


class Account:
    """Holds, settles or releases for one request. The first end that is said is the one that counts here;
    the ledger sees to it that it is the only one anywhere."""

    __slots__ = ("_caller", "_clock", "_ended", "_journal", "_ledger", "_order", "_quote", "standing")

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        caller: Caller,
        quote: Quote,
        journal: Journal,
        longest_request: float,
    ) -> None:
        """`longest_request` in seconds."""
        self._ledger = ledger
        self._clock = clock
        self._caller = caller
        self._quote = quote
        self._journal = journal
        self._ended = False
        now = clock.now_ms()
        self._order = HoldOrder(
            id=f"hold-{journal.request_id.removeprefix('req-')}",
            license_id=caller.license_id,
            wanted=quote.wanted,
            minimum=quote.minimum,
            taken_at=now,
            expires_at=now + round(longest_request * 1000) + _GRACE_MS,
            request_id=journal.request_id,
            key_id=caller.key_id,
            provider=quote.offer.model.provider,
            model=quote.offer.model.id,
            limits=None if caller.limits == NO_LIMITS else caller.limits,
            tokens=quote.tokens,
            user_id=None if caller.user_allowance is None else caller.user_id,
            user_cap=caller.user_allowance,
        )
        self.standing: Standing | None = None
        """Where the licence stands with its limits by the minute, once they have been asked."""

    async def hold(self) -> Hold:
        """Raises RateLimited, InsufficientCredits, LedgerUnavailable."""
        try:
            hold = await self._ledger.hold(self._order)
        except (RateLimited, InsufficientCredits) as refusal:
            self.standing = refusal.standing
            raise
        except asyncio.CancelledError as stop:
            # The order is on its way and nobody will wait for it: its end follows it.
            self.abandon(stop, None)
            raise
        self.standing = hold.standing
        return hold

    async def settle(
        self, outcome: Outcome, usage: Usage, estimated: bool, cost: int | None, turn: StoredTurn | None
    ) -> Bill:
        """Charges what was used, and stores the turn with it; `cost` as in `core.events.Finished`. When we
        stop it is waited for all the same: the answer is there. Raises LedgerUnavailable."""
        try:
            receipt = await self._charge(outcome, usage, estimated, cost, turn)
        except asyncio.CancelledError as stop:
            if client_left(stop):
                raise
            # Said again it has the receipt of the first time.
            receipt = await self._charge(outcome, usage, estimated, cost, turn)
        self._journal.credits_used = receipt.charged
        self._journal.overrun = receipt.overrun
        if receipt.overrun:
            _log.warning(
                "overrun: the price exceeded what the licence had",
                extra={
                    "request_id": self._journal.request_id,
                    "license_id": self._caller.license_id,
                    "overrun": receipt.overrun,
                },
            )
        return Bill(usage, receipt.charged, receipt.remaining, estimated)

    async def release(self, reason: str) -> None:
        """Ends the hold without a charge. That the ledger is out of reach is logged, not raised: whoever
        releases is already telling the caller about another fault."""
        if self._ended:
            return
        self._ended = True
        try:
            await self._ledger.release(self._order.id, reason)
        except Fault as fault:
            self._report(fault)

    def abandon(
        self,
        because: BaseException,
        usage: Usage | None,
        *,
        estimated: bool = True,
        cost: int | None = None,
        turn: StoredTurn | None = None,
    ) -> None:
        """Says the end without waiting for it: a charge for the usage, or a release."""
        if self._ended:
            return
        outcome: Outcome = "client_left" if because.args == (CLIENT_LEFT,) else "cut"
        saying: Awaitable[Receipt | None]
        if usage is None:
            self._ended = True
            saying = self._ledger.release(self._order.id, outcome)
        else:
            saying = self._charge(outcome, usage, estimated, cost, turn)
        asyncio.ensure_future(saying).add_done_callback(self._said)

    def _charge(
        self, outcome: Outcome, usage: Usage, estimated: bool, cost: int | None, turn: StoredTurn | None
    ) -> Awaitable[Receipt]:
        self._ended = True
        journal = self._journal
        journal.usage = usage
        journal.estimated = estimated
        journal.outcome = outcome
        now = self._clock.now_ms()
        return self._ledger.settle(
            Charge(
                hold_id=self._order.id,
                request_id=journal.request_id,
                license_id=self._caller.license_id,
                key_id=self._caller.key_id,
                user_id=self._caller.user_id,
                surface=journal.surface,
                provider=self._order.provider,
                model=self._order.model,
                upstream_id=journal.upstream_id,
                usage=usage,
                price=price(self._quote.offer.rates, usage),
                estimated=estimated,
                provider_cost=cost,
                outcome=outcome,
                started_at=journal.started_at,
                first_byte_ms=journal.first_byte_ms,
                duration_ms=now - journal.started_at,
                turn=turn,
                limits=self._order.limits,
                user_cap=self._order.user_cap,
            )
        )

    def _said(self, saying: asyncio.Future[Receipt | None]) -> None:
        fault = saying.exception() if not saying.cancelled() else None
        if isinstance(fault, Fault):
            self._report(fault)
        elif fault is not None:
            raise fault

    def _report(self, fault: Fault) -> None:
        _log.error(
            "the end of a hold was not taken",
            extra={
                "request_id": self._journal.request_id,
                "hold_id": self._order.id,
                "cause": fault.cause,
            },
        )
