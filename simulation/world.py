"""One episode: gateways, clients, an operator and troubles around the ledger."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Charge, HoldOrder
from quantized.ledger.leases import Identity, LeaseKeeper, LeaseTimes
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import Sweeper
from quantized.ledger.tenure import Tenure
from quantized.ledger.verbs import Verb
from quantized.storage.sqlite_ledger import SqliteLedgerStore
from simulation.auditor import Auditor, hold_id_of
from simulation.books import require
from simulation.client import LONG, Client
from simulation.database import SimulatedStore, SimulatedWriter, Weather
from simulation.leases import SimulatedLeases, Table
from simulation.loop import Process, SimulatedLoop
from simulation.model import Outcome
from simulation.operator import Operator
from simulation.plan import Plan, calm
from simulation.trace import Trace

EPOCH = 1_700_000_000_000
SWEEP_SECONDS = 5.0
_REST = 60.0
"""In which everything that lives and was said is written, once the weather is calm."""


class SimulatedClock:
    """Of one gateway: the loop's time, and wrong by some milliseconds."""

    def __init__(self, loop: SimulatedLoop, wrong_by: int) -> None:
        self._loop = loop
        self._wrong_by = wrong_by

    def now_ms(self) -> int:
        return EPOCH + self._wrong_by + int(self._loop.time() * 1000)

    def monotonic(self) -> float:
        return self._loop.time()


class Gateway:
    """From a start to a crash or an orderly stop."""

    def __init__(self, world: "World", name: str, wrong_by: int) -> None:
        self.process = Process(name)
        self.clock = SimulatedClock(world.loop, wrong_by)
        self.accepts = False
        self.crashed = False
        self.machine = world.random.choice(["east", "west", None])
        self.pid = world.pid()
        self.requests: dict[asyncio.Task[None], None] = {}
        self.said: dict[str, Charge] = {}
        """Charges that its ledger has accepted, by hold."""
        self._stores: list[SimulatedStore] = []
        self._world = world
        self.process.context.run(self._open)

    def kill(self, how: str) -> None:
        if self.process.alive:
            self._world.trace(self.process, "dies", how)
            self.process.kill()
            self.accepts = False
            self.crashed = True
            self._world.gone(self)
            for store in self._stores:
                store.close()

    async def stop(self) -> None:
        """What is under way may end; then the ledger is closed."""
        self.accepts = False
        if self.requests:
            await asyncio.wait(list(self.requests), timeout=self._world.random.choice([0.01, 2.0, 20.0]))
        for task in list(self.requests):
            task.cancel("stopping")
        if self.requests:
            await asyncio.wait(list(self.requests))
        for task in self._tasks:
            task.cancel()
        lost, began = len(self._world.told_lost), self._world.loop.time()
        await self.ledger.close()
        waited = self._world.loop.time() - began
        require(lost == len(self._world.told_lost) or waited > 1.79, "who stops writes what was said", waited)
        with suppress(LedgerUnavailable):
            await self._leases.leave(self.process.name)
        self._world.trace(self.process, "has stopped")
        self.process.kill()
        self._world.gone(self)

    def _open(self) -> None:
        world = self._world

        def store() -> SimulatedStore:
            opened = SimulatedStore(
                SqliteLedgerStore(world.url, owner=self.process.name),
                world.weather,
                self.process,
                self.kill,
                world,
            )
            self._stores.append(opened)
            return opened

        writing = store()
        times = LeaseTimes()
        tenure = Tenure(self.clock, times.term)
        self.ledger = GroupCommitLedger(
            writing,
            tenure,
            capacity=world.plan.capacity,
            batch=world.plan.batch,
            writer=lambda _, clock, flushed: SimulatedWriter(writing, clock, flushed, world.weather, world),
            leased=tenure.lasts,
        )
        self._leases = SimulatedLeases(world.processes, world.weather)
        sweeper = Sweeper(self.ledger, self._leases, self.process.name, self.clock)  # type: ignore[arg-type]
        me = Identity(self.process.name, self.machine or "cloud", self.machine, self.pid)
        keeper = LeaseKeeper(
            me,
            tenure,
            self.ledger,
            self._leases,  # type: ignore[arg-type]  # all of it that is asked
            lambda pid: world.runs(self.machine, pid),
            times,
        )
        self._tasks = [
            world.start(self.process, sweeper.run(SWEEP_SECONDS)),
            world.start(self.process, self._serve(keeper)),
        ]

    async def _serve(self, keeper: LeaseKeeper) -> None:
        """Takes no request before its lease is there."""
        while not self.accepts:
            try:
                await keeper.renew()
                self.accepts = True
            except LedgerUnavailable:
                await asyncio.sleep(0.5)
        await keeper.run()


class World:
    """Plays a plan on a migrated, empty database until `steps` were taken."""

    def __init__(self, plan: Plan, path: Path, steps: int, trace: Trace) -> None:
        self.plan = plan
        self.random = Random(f"world/{plan.seed}")
        self.weather = Weather(plan, Random(f"weather/{plan.seed}"))
        self.loop = SimulatedLoop(Random(f"turns/{plan.seed}"), self.weather.seconds)  # type: ignore[abstract]
        self.url = f"sqlite:///{path}"
        self.auditor = Auditor(path)
        if plan.refused or plan.answer_lost or plan.slow:
            # Whoever alone is out of luck for long enough is taken for dead.
            self.auditor.swept.append("process died")
        self.gateways: list[Gateway] = []
        self.processes = Table(self.auditor.books, self.now_ms, self.secured)
        self.told_lost: set[str] = set()
        """Charges of which an operator was told that they could not be written."""
        self.never_taken: set[str] = set()
        """Holds of charges that the schema does not take."""
        self._disk = sqlite3.connect(":memory:")
        self._steps = steps
        self._trace = trace
        self._began = trace.steps
        self.home = Process("world")
        self._names = 0
        self._pids = 0
        self._departed: list[Gateway] = []
        self._operator = Operator(self)

    @property
    def over(self) -> bool:
        return self._trace.steps - self._began >= self._steps

    def now_ms(self) -> int:
        return EPOCH + int(self.loop.time() * 1000)

    def trace(self, process: Process, *what: object) -> None:
        """A step. Whatever was written without anybody saying so is found now."""
        self._trace.step(self.loop.time(), process.name, what)
        self.auditor.look()

    def play(self) -> None:
        """Raises Broken, or whatever the ledger raises that it should not."""
        logger = logging.getLogger("quantized.ledger")
        handler = _Hearing(self)
        propagated, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        try:
            self.home.context.run(self._found)
            playing = self.loop.start(self.home, self._play())
            self.loop.run(playing.done)
            playing.result()
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagated
            for gateway in self.gateways:
                gateway.process.kill()
            self.loop.abandon()
            self.auditor.close()
            self._disk.close()

    def start(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task whose failure is the simulation's."""
        task = self.loop.start(process, work)
        task.add_done_callback(_unless_cancelled, context=process.context)
        return task

    def gone(self, gateway: Gateway) -> None:
        self.gateways.remove(gateway)
        self._departed.append(gateway)

    def pid(self) -> int:
        """A number that none of those who live has; a dead one's may come again."""
        self._pids = self._pids % 20 + 1
        return self._pids

    def runs(self, machine: str | None, pid: int) -> bool:
        return any((gateway.machine, gateway.pid) == (machine, pid) for gateway in self.gateways)

    def anyone(self) -> Gateway | None:
        accepting = [gateway for gateway in self.gateways if gateway.accepts]
        return self.random.choice(accepting) if accepting else None

    # What the database says.

    def tried(self, process: Process, what: str, verbs: list[Verb]) -> None:
        self.trace(process, "transaction", what, [_short(verb) for verb in verbs])

    def committed(self, verbs: list[Verb], durable: bool) -> list[Outcome]:
        expected = self.auditor.committed(verbs)
        if durable:
            self.secured()
        return expected

    def secured(self) -> None:
        """What is in the database now survives a power failure."""
        if self.plan.between_power_failures:
            self.auditor.books.connection.backup(self._disk)

    def rejected(self, verbs: list[Verb]) -> None:
        for verb in verbs:
            poisoned = isinstance(verb, Charge) and verb.user_id is not None
            require(poisoned, "the database takes what is no poison", verb)
            self.never_taken.add(hold_id_of(verb))

    def answered(self, verbs: list[Verb], expected: list[Outcome], results: list[Any]) -> None:
        self.auditor.answered(verbs, expected, results)

    # The course of things.

    def _found(self) -> None:
        self._operator.found(["small", "unlimited", "large", "empty"][: self.plan.licenses])

    async def _play(self) -> None:
        plan = self.plan
        for _ in range(plan.gateways):
            self._start_gateway()
        troubles: list[Callable[[], Coroutine[Any, Any, None]]] = [self._requests]
        if plan.between_outages:
            troubles.append(self._outages)
        if plan.between_crashes:
            troubles.append(self._crashes)
        if plan.between_power_failures:
            troubles.append(self._power_failures)
        if plan.between_stops:
            troubles.append(self._stops)
        if plan.between_grants:
            troubles.append(self._operator.work)
        tasks = [self.start(self.home, trouble()) for trouble in [*troubles, self._starts]]
        await tasks[0]
        for task in tasks[1:]:
            task.cancel()
        await self._rest()

    async def _rest(self) -> None:
        """Calm weather, and nobody comes any more: what lives ends what it began."""
        self.trace(self.home, "calm")
        self.weather.plan = calm(self.plan)
        self.weather.away = False
        if not self.gateways:
            self._start_gateway()
        await asyncio.sleep(_REST)
        self.auditor.at_rest()
        self._nothing_was_lost()
        self._no_hold_is_left()
        await asyncio.sleep(LONG / 1000 + 4 * SWEEP_SECONDS + 2 * self.plan.skew)
        self.auditor.at_rest()
        left = self.auditor.books.open_holds()
        require(not left, "no hold is open for ever", left)
        self.trace(self.home, "rest")

    def _nothing_was_lost(self) -> None:
        for gateway in (*self.gateways, *self._departed):
            for hold_id, charge in gateway.said.items():
                settled = hold_id in self.auditor.books.records
                excused = hold_id in self.told_lost or hold_id in self.never_taken
                was_held = hold_id in self.auditor.books.holds
                lost = was_held and not settled and not excused and not gateway.crashed
                require(not lost, "no charge is lost", charge)

    def _no_hold_is_left(self) -> None:
        """Who lives has ended its own, and those of the dead."""
        for hold in self.auditor.books.open_holds():
            require(hold["id"] in self.never_taken, "who lives forgets no hold", hold)

    def _start_gateway(self) -> None:
        self._names += 1
        wrong_by = int(1000 * self.random.uniform(-1, 1) * self.plan.skew)
        gateway = Gateway(self, f"gateway-{self._names}", wrong_by)
        self.gateways.append(gateway)
        self.trace(gateway.process, "starts")

    async def _requests(self) -> None:
        number = 0
        while not self.over:
            await asyncio.sleep(self.random.expovariate(self.plan.requests_per_second))
            gateway = self.anyone()
            if gateway is not None:
                number += 1
                Client(self, gateway, number).begin()

    async def _starts(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.1, 3.0))
            if len([gateway for gateway in self.gateways if gateway.accepts]) < self.plan.gateways:
                self._start_gateway()

    async def _crashes(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.plan.between_crashes))
            if self.gateways:
                self.random.choice(self.gateways).kill("suddenly")

    async def _power_failures(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.plan.between_power_failures))
            for gateway in list(self.gateways):
                gateway.kill("without power")
            self.auditor.go_back_to(self._disk)
            self.trace(self.home, "the power is back")

    async def _stops(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.plan.between_stops))
            gateway = self.anyone()
            if gateway is not None:
                self.trace(gateway.process, "is told to stop")
                self.start(gateway.process, gateway.stop())

    async def _outages(self) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / self.plan.between_outages))
            self.weather.away = True
            self.trace(self.home, "the database is away")
            await asyncio.sleep(self.random.choice([0.2, 0.2, 1.5, 1.5, 4.0, 25.0]))
            self.weather.away = False
            self.trace(self.home, "the database is back")


class _Hearing(logging.Handler):
    """What the ledger tells an operator."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.CRITICAL:
            charge = getattr(record, "charge", None)
            if charge is not None:
                self._world.told_lost.add(charge["hold_id"])


def _unless_cancelled(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.result()


def _short(verb: Verb) -> str:
    match verb:
        case HoldOrder():
            return f"hold {verb.id} {verb.minimum}..{verb.wanted}"
        case Charge():
            return f"settle {verb.hold_id} {verb.price}"
        case _:
            return f"release {verb.hold_id} ({verb.reason})"
