"""What befalls a round, drawn from its seed: at which moment, to whom."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from chaos.world import World

_FREEZE = 14.0
"""Seconds: longer than the time after which who says nothing is taken for dead."""


@dataclass(frozen=True)
class Trouble:
    """`at`: seconds after the round's begin."""

    at: float
    name: str
    machine: int
    detail: str
    befall: Callable[[World], None]


def draw(chance: random.Random, machines: int, *, postgres: bool, longest: float) -> list[Trouble]:
    """Of one round, in their order, within `longest` seconds."""
    makers = [worker] * 5 + [gateway] * 2 + [supervisor, stop]
    if postgres:
        makers += [crash, crash, restart, lost]
    made = []
    for _ in range(chance.randint(1, 3)):
        at, machine = chance.uniform(0.05, longest), chance.randrange(machines)
        made.append(chance.choice(makers)(at, machine, random.Random(chance.random())))
    return sorted(made, key=lambda trouble: trouble.at)


def frozen(chance: random.Random, machines: int) -> Trouble:
    machine, inner = chance.randrange(machines), random.Random(chance.random())
    return Trouble(
        chance.uniform(0.1, 0.6),
        "a worker is frozen",
        machine,
        f"{_FREEZE} s",
        lambda world: world.machines[machine].freeze_worker(inner, _FREEZE),
    )


def befall(world: World, troubles: list[Trouble]) -> None:
    """Each at its moment, or as soon as the one before is over."""
    began = time.monotonic()
    for trouble in troubles:
        time.sleep(max(0.0, began + trouble.at - time.monotonic()))
        trouble.befall(world)


def worker(at: float, machine: int, chance: random.Random) -> Trouble:
    return Trouble(
        at, "kill -9 of a worker", machine, "", lambda world: world.machines[machine].kill_worker(chance)
    )


def gateway(at: float, machine: int, chance: random.Random) -> Trouble:
    def befall(world: World) -> None:
        world.machines[machine].kill()
        world.machines[machine].start()

    return Trouble(at, "kill -9 of a gateway", machine, "", befall)


def lost(at: float, machine: int, chance: random.Random) -> Trouble:
    return Trouble(
        at, "kill -9 of a gateway for good", machine, "", lambda world: world.machines[machine].kill()
    )


def supervisor(at: float, machine: int, chance: random.Random) -> Trouble:
    def befall(world: World) -> None:
        world.machines[machine].kill_supervisor()
        world.machines[machine].start()

    return Trouble(at, "kill -9 of a supervisor", machine, "", befall)


def stop(at: float, machine: int, chance: random.Random) -> Trouble:
    def befall(world: World) -> None:
        world.machines[machine].stop()
        world.machines[machine].start()

    return Trouble(at, "SIGTERM of a gateway", machine, "", befall)


def crash(at: float, machine: int, chance: random.Random) -> Trouble:
    away = chance.choice([0.0, 0.0, 0.3, 2.5])
    return Trouble(
        at,
        "PostgreSQL stops at once",
        0,
        f"{away} s",
        lambda world: world.restart_postgres(signal.SIGQUIT, away),
    )


def restart(at: float, machine: int, chance: random.Random) -> Trouble:
    away = chance.choice([0.0, 0.2])
    return Trouble(
        at,
        "PostgreSQL restarts",
        0,
        f"{away} s",
        lambda world: world.restart_postgres(signal.SIGINT, away),
    )
