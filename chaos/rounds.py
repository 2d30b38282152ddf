"""Rounds, one after another: troubles while a crowd asks, then rest, then the laws."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from chaos import books, laws
from chaos.books import Watcher
from chaos.crowd import Crowd, Strange
from chaos.troubles import Trouble, befall, draw, frozen
from chaos.world import World

_BOUND = 15.0
"""Seconds within which holds of the dead are released, as long as anybody lives."""
_VERIFY_EVERY = 10
_FREEZE_EVERY = 20
_LOG_FAULTS = ("Traceback", "rejects a verb", '"level":"critical"')
_MEANT = ("a settlement could not be written", "DatabaseUnusable")
"""Said by a gateway that is told to stop while the database is away (its hold is released by the others, and
listed for the operator), and by a worker that is started then."""


class Broken(Exception):
    """A law was broken; says where, and what is known."""


@dataclass
class Sums:
    """Of a run."""

    rounds: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """Attempts by how they ended."""
    refusals: Counter[int] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    charges: int = 0
    died: int = 0
    """Holds whose process died, and that nobody was charged for."""
    revived: int = 0
    """Charges of holds that had been released, because their process seemed to be dead."""
    late: int = 0
    """Refusals after the answer, because its charge was not written in time."""
    longest_rest: float = 0.0


class Rounds:
    """A world, and the rounds that are played in it."""

    def __init__(self, kind: str, folder: Path, seed: str, *, customers: int, asks: int) -> None:
        self._kind = kind
        self._folder = folder
        self._seed = seed
        self._asks = asks
        self.world = World(kind, folder, seed, customers)
        self._watcher = Watcher(self.world.url)
        self._watcher.start()
        self._read: dict[Path, int] = {}
        self.sums = Sums()

    def __enter__(self) -> "Rounds":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watcher.stop()
        self.world.close()

    @property
    def looks(self) -> int:
        """How many moments of the database were looked at."""
        return self._watcher.looks

    def play(self, number: int, troubles: Sequence[Trouble] | None = None) -> str:
        """One round: what happened, in a line. Raises Broken. `troubles` instead of what the seed has."""
        world = self.world
        world.restore()
        chance = random.Random(f"{self._seed}:{number}")
        world.top_up(chance)
        drawn = self._draw(chance, number) if troubles is None else list(troubles)
        said = ", ".join(f"{t.name} [{t.machine}] {t.detail}".strip() + f" at {t.at:.2f}" for t in drawn)
        began = time.time()
        crowd = Crowd(f"{self._seed}:{number}", world.customers, world.addresses, self._asks)
        failure: list[BaseException] = []

        def trouble() -> None:
            try:
                befall(world, drawn)
            except BaseException as error:  # noqa: BLE001  raised again where it is waited for
                failure.append(error)

        troubling = threading.Thread(target=trouble)
        troubling.start()
        try:
            asyncio.run(crowd.run())
        except* Strange as strange:
            failure.append(strange)
        finally:
            troubling.join()
        if failure:
            raise Broken(f"round {number} ({said}): {failure}") from failure[0]
        try:
            rest = world.quiet(_BOUND)
        except AssertionError as error:
            raise Broken(f"round {number} ({said}): {error}") from error
        self._judge(number, said, began, crowd)
        world.upstream.forget()
        self.sums.rounds += 1
        self.sums.longest_rest = max(self.sums.longest_rest, rest)
        self.sums.troubles.update(trouble.name for trouble in drawn)
        ended = Counter(attempt.ended for attempt in crowd.attempts)
        counts = " ".join(f"{name} {count}" for name, count in sorted(ended.items()))
        return f"round {number}: {time.time() - began:.1f} s, rest {rest:.1f} s, {counts}; {said}"

    def verify(self) -> None:
        """`quantized ledger verify`. Raises Broken."""
        done = self.world.run("ledger", "verify")
        if done.exit_code != 0:
            raise Broken(f"ledger verify: {done.output[:10000]}")

    def _draw(self, chance: random.Random, number: int) -> list[Trouble]:
        machines = len(self.world.machines)
        if number % _FREEZE_EVERY == _FREEZE_EVERY - 1:
            return [frozen(chance, machines)]
        longest = 0.15 * self._asks
        return draw(chance, machines, postgres=self.world.postgres is not None, longest=longest)

    def _judge(self, number: int, said: str, began: float, crowd: Crowd) -> None:
        world = self.world
        happened = books.since(world.url, int(began * 1000))
        unsettled = world.unsettled(int(began * 1000))
        found = list(laws.broken(crowd.attempts, world.upstream.arrivals, happened, unsettled))
        found += self._watcher.found
        found += world.upstream.complaints
        found += self._logged()
        if found:
            raise Broken(f"round {number} ({said}):\n" + "\n".join(found[:20]))
        sums = self.sums
        sums.charges += len(happened.usage)
        sums.died += len(unsettled)
        released = {hold["id"] for hold in happened.holds if hold["reason"] == "process died"}
        sums.revived += sum(record["hold_id"] in released for record in happened.usage)
        sums.late += laws.refused_late(crowd.attempts, happened)
        sums.ended.update(attempt.ended for attempt in crowd.attempts)
        sums.refusals.update(
            attempt.status or 0 for attempt in crowd.attempts if attempt.ended in ("refused", "failed")
        )
        if number % _VERIFY_EVERY == _VERIFY_EVERY - 1:
            self.verify()

    def _logged(self) -> list[str]:
        """What gateways said that none should ever say."""
        found = []
        for machine in self.world.machines:
            path = machine.gateway.log_path
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                whole = file.read().rpartition(b"\n")[0]
                self._read[path] = self._read.get(path, 0) + len(whole)
            found += [
                f"{path.parent.name} says: {line[:2000]}"
                for line in whole.decode().splitlines()
                if any(fault in line for fault in _LOG_FAULTS) and not any(known in line for known in _MEANT)
            ]
        return found


def play(kind: str, folder: Path, seed: str, rounds: int) -> Sums:
    """So many rounds, told one by one. Raises Broken."""
    with Rounds(kind, folder, seed, customers=36, asks=8) as playing:
        for number in range(rounds):
            print(f"{kind} {playing.play(number)}", flush=True)
        playing.verify()
        print(f"{kind}: looked at {playing.looks} moments of the database", flush=True)
        return playing.sums


def told(sums: Sums) -> str:
    return json.dumps(
        {name: dict(value) if isinstance(value, Counter) else value for name, value in vars(sums).items()}
    )
