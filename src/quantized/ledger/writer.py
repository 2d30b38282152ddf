"""One batch of verbs on its way into the database: a thread that runs them, and what became of them."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from math import inf
from queue import SimpleQueue
from typing import Protocol

import msgspec
from msgspec.structs import replace

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Charge, Clock, HoldOrder, Receipt
from quantized.ledger.rules import Book, apply
from quantized.ledger.verbs import Release, Result, Verb
from quantized.storage.records import Changes, LedgerStore, Needs, Rejected, Rows, Unconfirmed, UserKey

_log = logging.getLogger("quantized.ledger")


class HeldUp(msgspec.Struct, frozen=True):
    """What a verb came to that is to be said again: others have locked what it is about, or it is a charge of
    which the disk has not said that it has it, and `cause` says why."""

    cause: str | None = None


HELD_UP = HeldUp()


class Flushed(msgspec.Struct, frozen=True):
    """What became of a batch: results of its first verbs, and why the rest (if any) must be tried again."""

    results: list[Result | HeldUp]
    failure: LedgerUnavailable | None = None


class Writer(Protocol):
    """Runs batches against a store, one at a time, while the event loop goes on."""

    def write(self, verbs: list[Verb]) -> None:
        """Returns at once. What became of the batch is told in the event loop; the next comes after that."""

    def write_at_once(self, order: HoldOrder) -> Result | None:
        """What a hold came to that waits for nobody; None where it would have to wait, or there is more to
        say of it: then nothing has become of it, and it can be handed to `write`. Of the batch under way all
        was committed before it, and only the disk has not said so yet."""

    def stop(self) -> None:
        """After the batch under way there will be no other."""

    def stopped(self) -> Awaitable[None]:
        """Until the batch under way is over and the store is closed."""


WriterMaker = Callable[[LedgerStore, Clock, Callable[[Flushed], None]], Writer]
"""Makes a writer, inside the event loop in which it is to call what it is given."""


_HURRY_SECONDS, _REST_SECONDS = 0.005, 5.0
"""What a hold may take in the event loop, and for how long none is taken there after one that took longer.
Nor is one taken beside a batch that takes longer: a disk that is slow for one is slow for the next."""


class WriterThread:
    """`Writer` with a thread of its own, because the store blocks. A hold by itself, which waits for no disk,
    takes no longer than two threads to wake each other, and so is written where it is said."""

    def __init__(self, store: LedgerStore, clock: Clock, flushed: Callable[[Flushed], None]) -> None:
        self._store = store
        self._clock = clock
        self._flushed = flushed
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[list[Verb] | None] = SimpleQueue()
        self._rests_until = 0.0
        self._since = inf
        """When the batch was handed over that is under way."""
        self._committed = True
        """Whether all of it is in the database, if there is one."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def write(self, verbs: list[Verb]) -> None:
        self._since = self._loop.time()
        self._committed = False
        self._work.put(verbs)

    def write_at_once(self, order: HoldOrder) -> Result | None:
        began = self._loop.time()
        if not self._committed or not self._rests_until <= began <= self._since + _HURRY_SECONDS:
            return None
        result = commit_at_once(self._store, order, self._clock.now_ms())
        ended = self._loop.time()
        if ended - began > _HURRY_SECONDS:
            self._rests_until = ended + _REST_SECONDS
        return result

    def stop(self) -> None:
        self._work.put(None)

    async def stopped(self) -> None:
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (batch := self._work.get()) is not None:
            flushed = self._flush(batch)
            self._loop.call_soon_threadsafe(self._tell, flushed)
        self._store.close()

    def _in_database(self) -> None:
        self._committed = True

    def _tell(self, flushed: Flushed) -> None:
        self._since, self._committed = inf, True
        self._flushed(flushed)

    def _flush(self, batch: list[Verb]) -> Flushed:
        try:
            return flush(self._store, batch, self._clock.now_ms(), self._in_database)
        except Exception as error:  # noqa: BLE001  all of it is told
            # Without this thread no request would ever be answered again, and nobody would be told why.
            _log.critical("an error of the program's own in the ledger", exc_info=error)
            return Flushed([], LedgerUnavailable(cause=f"{type(error).__name__}: {error}"))


def flush(
    store: LedgerStore, verbs: list[Verb], now_ms: int, committed: Callable[[], None] = lambda: None
) -> Flushed:
    """The verbs in one transaction; one by one where the database will never take some row among them.
    `committed` is called when all are in the database and only the disk has not said so yet."""
    try:
        return Flushed(_commit(store, verbs, now_ms, committed))
    except LedgerUnavailable as failure:
        return Flushed([], failure)
    except Rejected:
        results: list[Result | HeldUp] = []
        for verb in verbs:
            try:
                results += _alone(store, verb, now_ms)
            except LedgerUnavailable as failure:
                return Flushed(results, failure)
        return Flushed(results)


def _alone(store: LedgerStore, verb: Verb, now_ms: int) -> list[Result | HeldUp]:
    """What will never be taken is refused; but no charge is lost for the text that came with it."""
    try:
        return _commit(store, [verb], now_ms)
    except Rejected as rejected:
        refusal = LedgerUnavailable(cause=f"rejected: {rejected}")
    if isinstance(verb, Charge) and verb.turn is not None:
        found = _alone(store, replace(verb, turn=None), now_ms)
        if not isinstance(found[0], Receipt | HeldUp) or found[0] == HELD_UP:
            return found
        _log.error("a response could not be stored", extra={"charge": told(verb), "cause": refusal.cause})
        if isinstance(found[0], HeldUp):
            return found
    else:
        _log.critical(
            "the database rejects a verb for good", extra={"verb": told(verb), "cause": refusal.cause}
        )
    return [refusal]


def told(verb: Verb) -> object:
    """A verb for the log: what people said to a model has no place there."""
    return msgspec.to_builtins(replace(verb, turn=None) if isinstance(verb, Charge) else verb)


def commit_at_once(store: LedgerStore, order: HoldOrder, now_ms: int) -> Result | None:
    """What the hold comes to in a transaction of its own that waits for nobody and is not durable. None where
    that is not possible or anything is wrong: said again in the ordinary way, it will show what."""
    results: list[Result] = []

    def decide(rows: Rows) -> Changes:
        book = Book(rows, now_ms)
        results[:] = [apply(book, order)]
        return book.changes

    try:
        written = store.transact_at_once(_needs([order]), decide, now_ms=now_ms)
    except (LedgerUnavailable, Rejected):
        return None
    return results[0] if written else None


def _commit(
    store: LedgerStore, verbs: list[Verb], now_ms: int, committed: Callable[[], None] = lambda: None
) -> list[Result | HeldUp]:
    results: list[Result | HeldUp] = []

    def decide(rows: Rows) -> Changes:
        book = Book(rows, now_ms)
        # A store may decide again, on rows read anew: the last time counts.
        if rows.locked:
            results[:] = _around(book, rows.locked, verbs)
        else:
            results[:] = [apply(book, verb) for verb in verbs]
        return book.changes

    # A charge outlives the machine. A hold has to outlive the process, which may have asked a provider by
    # then; a machine that goes down takes the request along, and its hold would only be released again.
    durable = any(type(verb) is Charge for verb in verbs)
    try:
        store.transact(_needs(verbs), decide, now_ms=now_ms, durable=durable, committed=committed)
    except Unconfirmed as failure:
        waits = HeldUp(failure.cause)
        said = zip(verbs, results, strict=True)
        return [waits if type(verb) is Charge else result for verb, result in said]
    return results


def _around(book: Book, locked: frozenset[str], verbs: list[Verb]) -> list[Result | HeldUp]:
    """The results, where some licences and holds are out of reach."""
    out_of_reach = {*locked}
    results: list[Result | HeldUp] = []
    for verb in verbs:
        hold_id = verb.id if isinstance(verb, HoldOrder) else verb.hold_id
        license_id = None if isinstance(verb, Release) else verb.license_id
        if hold_id in out_of_reach or license_id in out_of_reach:
            # What is said of the same hold later comes later.
            out_of_reach.add(hold_id)
            results.append(HELD_UP)
        else:
            results.append(apply(book, verb))
    return results


def _needs(verbs: list[Verb]) -> Needs:
    hold_ids: dict[str, None] = {}
    new_hold_ids: list[str] = []
    license_ids: dict[str, None] = {}
    users: dict[UserKey, None] = {}
    for verb in verbs:
        if type(verb) is not HoldOrder:
            hold_ids[verb.hold_id] = None  # type: ignore[union-attr]  # no match: it costs more than the rest
            continue
        if verb.id not in hold_ids:
            hold_ids[verb.id] = None
            new_hold_ids.append(verb.id)
        license_ids[verb.license_id] = None
        if verb.user_id is not None:
            users[verb.license_id, verb.user_id] = None
    return Needs([*hold_ids], [*license_ids], users=[*users], partial=True, new_hold_ids=new_hold_ids)
