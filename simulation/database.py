"""The fate of transactions: a store that may fail on either side of a commit, a writer that may be slow."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any, Literal, Protocol

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock, HoldOrder
from quantized.ledger.verbs import Result, Verb
from quantized.ledger.writer import Flushed, commit_at_once, flush
from quantized.storage.records import Changes, LedgerStore, Needs, Rejected, Rows
from simulation.loop import Process
from simulation.model import Outcome
from simulation.plan import Plan

Fate = Literal["taken", "refused", "answer lost", "death before", "death after"]

REJECTED: Outcome = ("refused", "LedgerUnavailable")


class Weather:
    """What happens to the transactions of everybody. Calm once `plan` has no troubles."""

    def __init__(self, plan: Plan, random: Random) -> None:
        self.plan = plan
        self.away = False
        """Whether the database is out of reach."""
        self._random = random

    def fate(self) -> Fate:
        plan, drawn = self.plan, self._random.random()
        if self.away:
            # As out of reach as it is, what was sent may have arrived.
            return "refused" if drawn < 0.8 else "answer lost"
        chances: tuple[tuple[Fate, float], ...] = (
            ("refused", plan.refused),
            ("answer lost", plan.answer_lost),
            ("death before", plan.crash_at_commit),
            ("death after", plan.crash_at_commit),
        )
        for fate, chance in chances:
            if drawn < chance:
                return fate
            drawn -= chance
        return "taken"

    def lets_at_once(self) -> bool:
        """Whether a transaction that does not wait finds nothing in its way."""
        return not self.away and self._random.random() < 0.5

    def seconds(self) -> float:
        """How long the next call of the database takes."""
        if self._random.random() < self.plan.slow:
            return self._random.uniform(0.5, 4.0)
        return self._random.expovariate(1 / self.plan.transaction)


class Witness(Protocol):
    """Hears of every transaction."""

    def tried(self, process: Process, what: str, verbs: list[Verb]) -> None: ...

    def committed(self, verbs: list[Verb], durable: bool) -> list[Outcome]:
        """What they ought to have come to."""

    def rejected(self, verbs: list[Verb]) -> None:
        """The database will never take them."""

    def answered(self, verbs: list[Verb], expected: list[Outcome], results: list[Any]) -> None: ...


class SimulatedStore:
    """`LedgerStore` of one process, over the real one."""

    def __init__(
        self,
        store: LedgerStore,
        weather: Weather,
        process: Process,
        die: Callable[[str], None],
        witness: Witness,
    ) -> None:
        self._store = store
        self._weather = weather
        self._process = process
        self._die = die
        self._witness = witness
        self._batches: Iterator[list[Verb]] = iter(())
        self.expected: list[Outcome] = []
        """What the verbs of the last batch ought to have come to, as far as somebody was told."""

    def begin(self, verbs: list[Verb]) -> None:
        """A store is not told the verbs: they come in one transaction, then each in its own if it must be."""
        self._batches = iter([verbs, *([verb] for verb in verbs)])
        self._whole = True
        self.expected = []

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        fate, verbs = self._weather.fate(), next(self._batches)
        whole, self._whole = self._whole, False
        if fate == "death before":
            self._die("before a commit")
        if fate in ("refused", "death before"):
            self._witness.tried(self._process, "not written", verbs)
            raise LedgerUnavailable(cause="simulated: not written")
        try:
            self._store.transact(needs, decide, now_ms=now_ms, durable=durable, committed=committed)
        except Rejected:
            self._witness.tried(self._process, "rejected", verbs)
            if not whole:
                self._witness.rejected(verbs)
                self.expected.append(REJECTED)
            raise
        expected = self._witness.committed(verbs, durable)
        if fate == "taken":
            self._witness.tried(self._process, "written", verbs)
            self.expected += expected
            return
        self._witness.tried(self._process, "written, and nobody is told", verbs)
        if fate == "death after":
            self._die("after a commit")
        raise LedgerUnavailable(cause="simulated: written, and nobody was told")

    def transact_at_once(self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int) -> bool:
        verbs = next(self._batches)
        try:
            written = self._store.transact_at_once(needs, decide, now_ms=now_ms)
        except (Rejected, LedgerUnavailable):
            self._witness.tried(self._process, "not written at once", verbs)
            raise
        if not written:
            return False
        self.expected += self._witness.committed(verbs, durable=False)
        self._witness.tried(self._process, "written at once", verbs)
        return True

    def close(self) -> None:
        self._store.close()


class SimulatedWriter:
    """`ledger.writer.Writer` without a thread: a batch runs some time after it was handed over, and what
    became of it is told some time after that."""

    def __init__(
        self,
        store: SimulatedStore,
        clock: Clock,
        flushed: Callable[[Flushed], None],
        weather: Weather,
        witness: Witness,
    ) -> None:
        self._store = store
        self._clock = clock
        self._flushed = flushed
        self._weather = weather
        self._witness = witness
        self._loop = asyncio.get_running_loop()
        self._under_way = False
        self._awaited = False
        """Whether the batch under way has not been run yet."""
        self._stopped: asyncio.Future[None] | None = None

    def write(self, verbs: list[Verb]) -> None:
        if self._stopped is not None:
            return
        assert not self._under_way, "two batches at once"
        self._under_way = self._awaited = True
        self._loop.call_later(self._weather.seconds(), self._run, verbs, self._clock.now_ms())

    def write_at_once(self, order: HoldOrder) -> Result | None:
        if self._stopped is not None or self._awaited or not self._weather.lets_at_once():
            return None
        self._store.begin([order])
        result = commit_at_once(self._store, order, self._clock.now_ms())
        if result is not None:
            self._witness.answered([order], self._store.expected, [result])
        return result

    def stop(self) -> None:
        self._stopped = self._loop.create_future()
        if not self._under_way:
            self._end()

    def stopped(self) -> Awaitable[None]:
        assert self._stopped is not None
        return self._stopped

    def _run(self, verbs: list[Verb], now_ms: int) -> None:
        self._store.begin(verbs)
        flushed = flush(self._store, verbs, now_ms)
        self._awaited = False
        self._witness.answered(verbs, self._store.expected, flushed.results)
        self._loop.call_later(self._weather.seconds(), self._tell, flushed)

    def _tell(self, flushed: Flushed) -> None:
        self._under_way = False
        self._flushed(flushed)
        if self._stopped is not None:
            self._end()

    def _end(self) -> None:
        assert self._stopped is not None
        self._store.close()
        if not self._stopped.done():
            self._stopped.set_result(None)
