"""The pump of one stream: the provider's bytes through the translation to the client, and the money last."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from quantized.core.errors import AnswerAbandoned, Fault, LedgerUnavailable, Unavailable
from quantized.core.events import Failed, Finished, FinishReason
from quantized.core.ports import Outcome
from quantized.core.turns import StoredTurn
from quantized.core.usage import Bill, Usage
from quantized.gateway.account import Account, client_left
from quantized.gateway.dispatch import unavailable
from quantized.gateway.journal import Journal
from quantized.gateway.metering import Quote, measured
from quantized.gateway.translation import Translation
from quantized.surfaces.surface import Dialogue, Renderer
from quantized.upstream.call import UpstreamFailure, UpstreamResponse

Push = Callable[[bytes], Awaitable[None] | None]
"""Writes frames (or b"") as far as the client takes them at once: None when all are written, else what to
await for the rest. Only then may it be called again."""

_log = logging.getLogger("quantized.gateway")

_DRAIN_SECONDS = 1.0
"""How long a provider may take to end a response whose answer is already whole, for the connection to be
kept. Nobody waits for it."""


class Stream:
    """A stream that has begun. `pump` it once."""

    def __init__(
        self,
        response: UpstreamResponse,
        translation: Translation,
        renderer: Renderer,
        account: Account,
        *,
        dialogue: Dialogue,
        quote: Quote,
        journal: Journal,
        beginning: bytes,
    ) -> None:
        self._response = response
        self._translation = translation
        self._renderer = renderer
        self._account = account
        self._dialogue = dialogue
        self._quote = quote
        self._journal = journal
        self._beginning = beginning
        if translation.started is not None:
            journal.upstream_id = translation.started.id

    async def pump(self, push: Push) -> bytes:
        """Pushes every frame but the last ones, which are returned once the charge they tell is durable.
        A failure on the way, and that we stop, is told inside the stream, never raised."""
        try:
            try:
                await self._flow(push)
            except asyncio.CancelledError as stop:
                if client_left(stop):
                    raise
                self._response.abort()
                return self._translation.break_off(Unavailable(cause="we stop")) + await self._end()
            self._response.let_go(_DRAIN_SECONDS)
            return await self._end()
        except BaseException as error:
            self._response.abort()
            self._abandon(error)
            raise

    async def _flow(self, push: Push) -> None:
        translation, response = self._translation, self._response
        feed = translation.feed
        rest = push(self._beginning)

        def take(data: bytes) -> bool:
            """Called for each piece that arrives, outside of any task as long as the client keeps up."""
            nonlocal rest
            rest = push(feed(data))
            return rest is None and translation.terminal is None

        try:
            while True:
                if rest is not None:
                    await rest
                if translation.terminal is not None:
                    return
                rest = None
                if await response.pour(take):
                    rest = push(translation.close())
        except UpstreamFailure as failure:
            rest = push(translation.break_off(unavailable(failure)))
            if rest is not None:
                await rest

    async def _end(self) -> bytes:
        """Settles, and renders the end."""
        match self._translation.terminal:
            case Finished(reason, usage, cost):
                try:
                    return self._renderer.finish(reason, await self._settle("completed", reason, usage, cost))
                except Fault as unsettled:
                    return self._fail(unsettled, None)
            case Failed(fault, usage, cost):
                bill = None
                if usage is None and not self._translation.meter.anything:
                    await self._account.release(type(fault).__name__)
                else:
                    with suppress(LedgerUnavailable):
                        bill = await self._settle("cut", fault, usage, cost)
                return self._fail(fault, bill)
            case None:
                raise AssertionError("the flow ended without a terminal event")

    async def _settle(
        self, outcome: Outcome, ending: FinishReason | Fault, reported: Usage | None, cost: int | None
    ) -> Bill:
        usage, estimated = self._measured(reported)
        kept = self._kept(ending, usage)
        return await self._account.settle(outcome, usage, estimated, cost, kept)

    def _kept(self, ending: FinishReason | Fault, usage: Usage) -> StoredTurn | None:
        try:
            return self._dialogue.kept(self._renderer.turn(ending, usage))
        except Exception:  # noqa: BLE001 - a fault of ours must not lose the charge, which is told next
            _log.exception("a turn could not be made", extra={"request_id": self._journal.request_id})
            return None

    def _measured(self, reported: Usage | None) -> tuple[Usage, bool]:
        translation = self._translation
        ending = translation.terminal
        counted = ending.counted_input if isinstance(ending, Failed) else None
        return measured(self._dialogue.request, self._quote, translation.meter, reported, counted)

    def _abandon(self, because: BaseException) -> None:
        """The client left, or we are at fault: what came until now is charged."""
        if isinstance(because, asyncio.CancelledError):
            # The provider may have told its usage already, and only the end is missing that goes with it.
            self._translation.close()
        terminal = self._translation.terminal
        reported, cost = (None, None) if terminal is None else (terminal.usage, terminal.cost)
        usage, estimated = self._measured(reported)
        left = AnswerAbandoned(cause=type(because).__name__)
        ending = terminal.reason if isinstance(terminal, Finished) else left
        turn = self._kept(ending, usage)
        self._account.abandon(because, usage, estimated=estimated, cost=cost, turn=turn)

    def _fail(self, fault: Fault, bill: Bill | None) -> bytes:
        self._journal.note_fault(fault)
        return self._renderer.fail(fault, bill)
