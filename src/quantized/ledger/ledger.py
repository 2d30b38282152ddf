"""The ledger that requests talk to: verbs that arrive while a transaction is under way share the next one.

The event loop keeps the order and the waiting; the writer owns the database. Nothing lingers: a verb that
finds the writer idle goes at once, together with what else was said in the same turn of the loop.
"""

import asyncio
import logging
from collections.abc import Awaitable
from itertools import chain
from typing import Any

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Charge, Clock, Hold, HoldOrder, Receipt
from quantized.ledger.rules import Release, Result, UnknownHold, Verb
from quantized.ledger.writer import Flushed, WriterMaker, WriterThread, told
from quantized.storage.records import LedgerStore

_log = logging.getLogger("quantized.ledger")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries while the database does not take a batch."""


class _Said:
    """A verb, and who waits for what comes of it until when (in the loop's time). `tried`: the database may
    have taken it, whatever was heard of that. `late`: was told to wait no longer."""

    __slots__ = ("answer", "deadline", "late", "tried", "verb")

    def __init__(self, verb: Verb, answer: asyncio.Future[Any], deadline: float) -> None:
        self.verb = verb
        self.answer = answer
        self.deadline = deadline
        self.tried = False
        self.late = False


class GroupCommitLedger:
    """`core.ports.Ledger`. Made and used inside one running event loop; `close` ends it.

    Nobody waits longer than `patience` seconds. A hold that is not taken by then is not taken at all, and
    one that the database may have taken is released again. A settlement or release is tried until the
    database takes it. At most `capacity` verbs wait; beyond that no hold is accepted. (Ends of holds always
    are: there cannot be more of them than there were holds.) At most `batch` verbs share a transaction, so
    that nobody's wait depends on how many others there are.
    """

    def __init__(
        self,
        store: LedgerStore,
        clock: Clock,
        *,
        patience: float = 1.8,
        capacity: int = 10_000,
        batch: int = 512,
        writer: WriterMaker = WriterThread,
    ) -> None:
        self._patience = patience
        self._capacity = capacity
        self._batch = batch
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Said] = []
        self._under_way: list[_Said] = []
        self._next_flush: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._pause = _FIRST_PAUSE
        self._drained: asyncio.Event | None = None
        self._writer = writer(store, clock, self._flushed)

    def hold(self, order: HoldOrder) -> Awaitable[Hold]:
        """Raises also Unauthenticated for a licence that may not be used, LedgerMisuse for an id that has
        ended. Whoever stops waiting (is cancelled) says `release`. It is said again only where it failed: a
        saying that comes too late ends the hold, whoever else was told of it."""
        if len(self._waiting) >= self._capacity:
            return self._refused("too many requests wait for the database")
        return self._say(order)

    def settle(self, charge: Charge) -> Awaitable[Receipt]:
        """Raises also LedgerMisuse for a hold that was never taken. After LedgerUnavailable the charge is
        still on its way, and saying it again is harmless."""
        return self._say(charge)

    def release(self, hold_id: str, reason: str) -> Awaitable[None]:
        """Has no effect on a hold that has ended, or was refused or given up before it was taken."""
        return self._say(Release(hold_id, reason))

    def expire(self, hold_id: str, reason: str = "expired") -> Awaitable[bool]:
        """`release` for the sweeper: whether this was what ended the hold."""
        return self._say(Release(hold_id, reason))

    async def close(self) -> None:
        """Takes no more verbs, writes those there are for at most `patience` seconds and ends the writer. A
        settlement that could not be written is logged with all it says."""
        if self._drained is not None:
            return
        self._drained = asyncio.Event()
        if not self._waiting and not self._under_way:
            self._drained.set()
        try:
            async with asyncio.timeout(self._patience):
                await self._drained.wait()
        except TimeoutError:
            _log.error("the gateway stops before the ledger has written everything")
        finally:
            self._writer.stop()
        await self._writer.stopped()
        self._give_up()

    def _say(self, verb: Verb) -> asyncio.Future[Any]:
        if self._drained is not None:
            return self._refused("the gateway is stopping")
        answer = self._loop.create_future()
        said = _Said(verb, answer, self._loop.time() + self._patience)
        self._waiting.append(said)
        if self._alarm is None:
            self._alarm = self._loop.call_at(said.deadline, self._ring)
        if self._next_flush is None and not self._under_way:
            self._next_flush = self._loop.call_soon(self._flush)
        return answer

    def _refused(self, cause: str) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        answer.set_exception(LedgerUnavailable(cause=cause))
        return answer

    def _flush(self) -> None:
        self._next_flush = None
        self._under_way, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
        if self._under_way:
            for said in self._under_way:
                said.tried = True
            self._writer.write([said.verb for said in self._under_way])
        elif self._drained is not None:
            self._drained.set()

    def _flushed(self, flushed: Flushed) -> None:
        batch, self._under_way = self._under_way, []
        for said, result in zip(batch, flushed.results, strict=False):
            _answer(said, result)
        if flushed.failure is None:
            self._pause = _FIRST_PAUSE
            self._flush()
            return
        _log.error("the database did not take a batch", extra={"cause": flushed.failure.cause})
        self._waiting[:0] = [said for said in batch[len(flushed.results) :] if not _dropped(said)]
        self._next_flush = self._loop.call_later(self._pause, self._flush)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _ring(self) -> None:
        """Tells those whose patience is over, and sets the alarm for the next in line."""
        self._alarm = None
        now = self._loop.time()
        too_late = []
        for said in chain(self._under_way, self._waiting):
            if said.answer.done():
                continue
            if said.deadline > now:
                self._alarm = self._loop.call_at(said.deadline, self._ring)
                break
            said.late = True
            said.answer.set_exception(LedgerUnavailable(cause="the database did not answer in time"))
            too_late.append(said)
        self._waiting = [said for said in self._waiting if not _dropped(said)]
        for said in too_late:
            if isinstance(said.verb, HoldOrder) and said.tried:
                self._say(Release(said.verb.id, "taken too late")).add_done_callback(_heard)

    def _give_up(self) -> None:
        """What could not be written when the writer has ended."""
        for handle in (self._next_flush, self._alarm):
            if handle is not None:
                handle.cancel()
        for said in chain(self._under_way, self._waiting):
            if isinstance(said.verb, Charge):
                _log.critical("a settlement could not be written", extra={"charge": told(said.verb)})
            if not said.answer.done():
                said.answer.set_exception(LedgerUnavailable(cause="the gateway has stopped"))


def _dropped(said: _Said) -> bool:
    """Whether nobody wants this verb done any more: a hold whose request was refused meanwhile."""
    return said.late and isinstance(said.verb, HoldOrder)


def _heard(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer; what is wrong has been logged."""
    if not answer.cancelled():
        answer.exception()


def _answer(said: _Said, result: Result) -> None:
    if isinstance(result, UnknownHold) and isinstance(said.verb, Release):
        # Its hold was refused or dropped after whoever asked for it had stopped waiting.
        _log.info("released a hold that was never taken", extra={"hold_id": said.verb.hold_id})
        result = False
    if said.answer.done():
        return
    if isinstance(result, Exception):
        said.answer.set_exception(result)
    else:
        said.answer.set_result(result)
