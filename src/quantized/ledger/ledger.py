"""The ledger that requests talk to: verbs that arrive while a transaction is under way share the next one.

The event loop keeps the order and the waiting; the writer owns the database. Nothing lingers: a verb that
finds the writer idle goes at once, together with what else was said in the same turn of the loop.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import chain
from math import inf
from typing import Any

from msgspec.structs import replace

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Charge, Clock, Hold, HoldOrder, Receipt
from quantized.ledger.line import Line, Said, weight
from quantized.ledger.verbs import Release, Result, UnknownHold, Verb
from quantized.ledger.writer import Flushed, HeldUp, WriterMaker, WriterThread, told
from quantized.storage.records import LedgerStore, Unreached, writing_seconds

_log = logging.getLogger("quantized.ledger")

_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_UNREACHED = 0.005, 0.05, 1.0
"""Seconds before the next try after the database did not take a batch, or could not be reached. Each failure
doubles them: one verb is soon found among others that are taken meanwhile; where none is, nobody hurries."""

_TRIES_WITH_TURN = 5
"""Of a charge by itself, before it is written without the response that came with it."""

_FORGET_SECONDS = 5.0
"""After the last failure, where there is no work."""

_QUIET_SECONDS = 1.0
"""Between two lines in the log that say the same of the database."""

_FEW = 2
"""Verbs in a batch, after which the next is expected to be as small."""

_LOOK_SECONDS = 1e-5
"""For each of those who wait, between two looks at whose patience is over."""

_TICK_SECONDS = 0.1
_LAST_SECONDS = 2.0
"""For a batch that is under way when the ledger is closed."""


class GroupCommitLedger:
    """`core.ports.Ledger`. Made and used inside one running event loop; `close` ends it.

    Nobody waits longer than `patience` seconds, or for a settlement that stores a large turn what that takes
    besides. A hold that is not taken by then is not taken at all, and one that the database may have taken is
    released again. A settlement or release is tried until the database takes it; one that fails by itself
    holds up no other. At most `capacity` verbs wait; beyond that no hold is accepted. (Ends of holds always
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
        leased: Callable[[], bool] = lambda: True,
    ) -> None:
        """`leased`: whether nobody can have taken this process for dead. Else no hold is taken: others would
        release it."""
        self._patience = patience
        self._capacity = capacity
        self._leased = leased
        self._loop = asyncio.get_running_loop()
        self._line = Line(batch)
        self._under_way: list[Said] = []
        self._lately = 0
        """How many verbs the last batch had."""
        self._next_flush: asyncio.Handle | None = None
        self._resting = False
        """Whether the next flush is for those who stand aside, and may come earlier."""
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf
        """Kept apart: the handle of an alarm that rings at once does not tell, in every loop."""
        self._pause = _FIRST_PAUSE
        self._since: float | None = None
        self._failed_at = 0.0
        self._unconfirmed_since: float | None = None
        """When the disk began to confirm no charges."""
        self._quiet_until: dict[str, float] = {}
        self._drained: asyncio.Event | None = None
        self._writer = writer(store, clock, self._flushed)

    def hold(self, order: HoldOrder) -> Awaitable[Hold]:
        """Raises also Unauthenticated for a licence that may not be used, LedgerMisuse for an id that has
        ended. Whoever stops waiting (is cancelled) says `release`. It is said again only where it failed: a
        saying that comes too late ends the hold, whoever else was told of it."""
        if not self._leased():
            return self._refused("the lease of this process has run out")
        if len(self._line) >= self._capacity:
            return self._refused("too many requests wait for the database")
        # Where there is much to do, holds are cheaper in company.
        if self._lately <= _FEW and not self._line and self._drained is None:
            result = self._writer.write_at_once(order)
            if result is not None:
                self._lately = 1
                if not self._under_way:
                    self._since = None
                answer: asyncio.Future[Hold] = self._loop.create_future()
                _tell(answer, result)
                return answer
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

    @property
    def behind(self) -> float:
        """For how many seconds nothing has been committed, or no charge confirmed, though there was work."""
        now = self._loop.time()
        unconfirmed = 0.0 if self._unconfirmed_since is None else now - self._unconfirmed_since
        if self._since is None:
            return unconfirmed
        if not self._under_way and not self._line.moving and now - self._failed_at > _FORGET_SECONDS:
            # What failed then has been given up since, and whoever is never asked never shows to be well.
            self._since = None
            return unconfirmed
        return max(unconfirmed, now - self._since)

    async def close(self, until: Callable[[], float] | None = None) -> None:
        """Takes no more verbs, writes those there are and ends the writer. `until` is asked again and again
        for the end of that in the loop's time; without it there are `patience` seconds. A settlement that
        could not be written is logged with all it says."""
        if self._drained is not None:
            return
        self._drained = asyncio.Event()
        if not self._line and not self._under_way:
            self._drained.set()
        patience_over = self._loop.time() + self._patience
        try:
            while not self._drained.is_set() and self._loop.time() < (until() if until else patience_over):
                with suppress(TimeoutError):
                    async with asyncio.timeout(_TICK_SECONDS):
                        await self._drained.wait()
            if not self._drained.is_set():
                _log.error("the gateway stops before the ledger has written everything")
        finally:
            self._writer.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await self._writer.stopped()
        self._give_up()

    def _say(self, verb: Verb) -> asyncio.Future[Any]:
        if self._drained is not None:
            return self._refused("the gateway is stopping")
        answer = self._loop.create_future()
        now = self._loop.time()
        said = Said(verb, answer, now + self._patience)
        if type(verb) is Charge and verb.turn is not None:
            said.weight = weight(verb.turn.turn)
            said.deadline += writing_seconds(said.weight)
        self._line.add(said)
        if self._since is None:
            self._since = now
        if said.deadline < self._alarm_at:
            self._set_alarm(said.deadline)
        if not self._under_way and (self._next_flush is None or self._resting):
            self._flush_soon()
        return answer

    def _refused(self, cause: str) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = self._loop.create_future()
        answer.set_exception(LedgerUnavailable(cause=cause))
        return answer

    def _flush_soon(self) -> None:
        if self._next_flush is not None:
            self._next_flush.cancel()
        self._resting = False
        self._next_flush = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._next_flush = None
        self._under_way = self._line.take(self._loop.time())
        if self._under_way:
            for said in self._under_way:
                said.tried = True
            self._lately = len(self._under_way)
            self._writer.write([said.verb for said in self._under_way])
            return
        rest = self._line.rest(self._loop.time())
        if rest is not None:
            self._resting = True
            self._next_flush = self._loop.call_later(rest, self._flush)
        elif self._drained is not None:
            self._drained.set()

    def _flushed(self, flushed: Flushed) -> None:
        batch, self._under_way = self._under_way, []
        held_up = []
        cause: str | None = None
        for said, result in zip(batch, flushed.results, strict=False):
            if isinstance(result, HeldUp):
                held_up.append(said)
                if result.cause is not None:
                    # Its turn is in the database with it.
                    cause, said.weight = result.cause, 0
            else:
                _answer(said, result)
        now = self._loop.time()
        if cause is not None:
            self._unconfirmed(cause, now)
        elif self._unconfirmed_since is not None:
            self._confirmed(batch[: len(flushed.results)])
        if held_up:
            self._line.held_up([said for said in held_up if not _dropped(said)], now)
        if flushed.failure is None:
            self._line.written()
            self._since = now if self._line.moving else None
            self._pause = _FIRST_PAUSE
            self._flush()
            return
        self._complain("the database did not take a batch", flushed.failure.cause, now)
        failed = batch[len(flushed.results) :]
        self._failed(failed, flushed.failure, now)
        self._resting = False
        self._next_flush = self._loop.call_later(self._pause_after(failed, flushed.failure), self._flush)

    def _pause_after(self, failed: list[Said], failure: LedgerUnavailable) -> float:
        unreached = isinstance(failure, Unreached)
        if len(failed) == 1 and not unreached:
            # It rests by itself, and however many there are like it, the others do not.
            return _FIRST_PAUSE
        longest = _LONGEST_UNREACHED if unreached else _LONGEST_PAUSE
        pause = min(self._pause, longest)
        self._pause = min(2 * pause, longest)
        return pause

    def _complain(self, of_what: str, cause: str | None, now: float) -> None:
        if now >= self._quiet_until.get(of_what, now):
            _log.error(of_what, extra={"cause": cause})
            self._quiet_until[of_what] = now + _QUIET_SECONDS

    def _unconfirmed(self, cause: str, now: float) -> None:
        if self._unconfirmed_since is None:
            self._unconfirmed_since = now
        self._complain("the disk has not confirmed what was charged", cause, now)

    def _confirmed(self, batch: list[Said]) -> None:
        if any(type(said.verb) is Charge for said in batch):
            self._unconfirmed_since = None

    def _failed(self, batch: list[Said], failure: LedgerUnavailable, now: float) -> None:
        if not (len(batch) == 1 and batch[0].alone):
            self._failed_at = now
        wanted = [said for said in batch if not _dropped(said)]
        if isinstance(failure, Unreached):
            self._line.give_back(wanted)
            return
        if len(batch) == 1:
            _without_turn(batch[0])
        self._line.failed(wanted, now)

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = self._loop.call_at(when, self._ring), when

    def _ring(self) -> None:
        """Tells those whose patience is over, and sets the alarm for the next."""
        self._alarm, self._alarm_at = None, inf
        now = self._loop.time()
        too_late, others = [], []
        for said in chain(self._under_way, self._line):
            if said.answer.done():
                continue
            if said.deadline > now:
                others.append(said.deadline)
                continue
            said.late = True
            said.answer.set_exception(LedgerUnavailable(cause="the database did not answer in time"))
            too_late.append(said)
        if others:
            # However many there are, hardly any time goes into looking at them.
            self._set_alarm(max(min(others), now + _LOOK_SECONDS * len(self._line)))
        if too_late:
            self._line.drop(_dropped)
        for said in too_late:
            if isinstance(said.verb, HoldOrder) and said.tried:
                self._say(Release(said.verb.id, "taken too late")).add_done_callback(_heard)

    def _give_up(self) -> None:
        """What could not be written when the writer has ended."""
        for handle in (self._next_flush, self._alarm):
            if handle is not None:
                handle.cancel()
        for said in chain(self._under_way, self._line):
            if isinstance(said.verb, Charge):
                _log.critical("a settlement could not be written", extra={"charge": told(said.verb)})
            if not said.answer.done():
                said.answer.set_exception(LedgerUnavailable(cause="the gateway has stopped"))


def _dropped(said: Said) -> bool:
    """Whether nobody wants this verb done any more: a hold whose request was refused meanwhile."""
    return said.late and isinstance(said.verb, HoldOrder)


def _without_turn(said: Said) -> None:
    """A charge that fails again and again, whose caller has been told that it failed, is no longer held up by
    the response that nobody was promised."""
    verb = said.verb
    if not isinstance(verb, Charge) or verb.turn is None or said.failures < _TRIES_WITH_TURN:
        return
    if said.answer.done():
        _log.error("a response could not be stored", extra={"charge": told(verb)})
        said.verb, said.weight, said.failures = replace(verb, turn=None), 0, 0


def _heard(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer; what is wrong has been logged."""
    if not answer.cancelled():
        answer.exception()


def _answer(said: Said, result: Result) -> None:
    if isinstance(result, UnknownHold) and isinstance(said.verb, Release):
        # Its hold was refused or dropped after whoever asked for it had stopped waiting.
        _log.info("released a hold that was never taken", extra={"hold_id": said.verb.hold_id})
        result = False
    if not said.answer.done():
        _tell(said.answer, result)


def _tell(answer: asyncio.Future[Any], result: Result) -> None:
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)
