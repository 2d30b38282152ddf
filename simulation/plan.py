"""What kind of world an episode takes place in. Each draws its own troubles: a trouble that never comes alone
hides what it breaks alone."""

from collections.abc import Iterator
from random import Random

from msgspec import Struct
from msgspec.structs import replace


class Plan(Struct, frozen=True):
    """Chances are per occasion (a transaction, a request); times in simulated seconds."""

    seed: str
    gateways: int
    licenses: int
    requests_per_second: float
    transaction: float
    """The usual time of one."""
    batch: int = 512
    """The most verbs in one."""
    capacity: int = 10_000
    """Verbs that a ledger lets wait before it takes no more holds."""
    refused: float = 0.0
    """The chance that a transaction fails and nothing is written."""
    answer_lost: float = 0.0
    """The chance that it is written and reported as failed."""
    slow: float = 0.0
    """The chance that it takes longer than anybody waits."""
    between_outages: float = 0.0
    """The database is away from time to time; 0 for never."""
    between_crashes: float = 0.0
    """Of one gateway; 0 for never."""
    crash_at_commit: float = 0.0
    """The chance that a gateway dies with a transaction, before or after it is written."""
    between_power_failures: float = 0.0
    """Of the machine that all of them are on: what is not on the disk is gone."""
    between_stops: float = 0.0
    """Orderly ones, of one gateway."""
    skew: float = 0.0
    """How far a gateway's clock may be off, either way."""
    impatient: float = 0.0
    """The chance that a client leaves early."""
    repeated: float = 0.0
    """The chance that a verb is said again, at once or later, by whoever."""
    confused: float = 0.0
    """The chance that something is said that no correct program says."""
    poisoned: float = 0.0
    """The chance that a charge is one that the schema never takes."""
    short_holds: float = 0.0
    """The chance that a hold's time is over before its request is."""
    between_grants: float = 0.0
    """Grants, adjustments, deactivations: what an operator does."""


TROUBLES = dict(
    zip(Plan.__struct_fields__[-len(Plan.__struct_defaults__) :], Plan.__struct_defaults__, strict=True)
)
"""Fields of a plan that can be left out, and what they are then."""


_SMALLEST = {"gateways": 1, "licenses": 1, "requests_per_second": 3.0, **TROUBLES}


def draw(seed: str) -> Plan:
    """The plan of `RUN:EPISODE`, which may be followed by `/VARIANT` and by what to leave out: `7:3/1-skew`.
    Raises ValueError for a seed that says something else."""
    first, *without = seed.split("-")
    unknown = [name for name in without if name not in _SMALLEST]
    if unknown:
        raise ValueError(f"a world has no {', '.join(unknown)}; it has {', '.join(_SMALLEST)}")
    plan = _draw(first.split("/")[0])
    return replace(plan, seed=seed, **{name: _SMALLEST[name] for name in without})


def smaller(plan: Plan) -> Iterator[str]:
    """Seeds of worlds with one trouble less."""
    first, *without = plan.seed.split("-")
    base = first.split("/")[0]
    for name, smallest in _SMALLEST.items():
        if getattr(plan, name) != smallest:
            for variant in range(4):
                yield "-".join([f"{base}/{variant}", *without, name])


def _draw(seed: str) -> Plan:
    random = Random(f"plan/{seed}")

    def perhaps(value: float) -> float:
        return value if random.random() < 0.55 else 0.0

    return Plan(
        seed=seed,
        gateways=random.choice([1, 2, 2, 3, 4]),
        licenses=random.choice([1, 2, 4]),
        requests_per_second=random.choice([3.0, 12.0, 50.0]),
        transaction=random.choice([0.0005, 0.003, 0.05]),
        batch=random.choice([512, 512, 3]),
        capacity=random.choice([10_000, 10_000, 8]),
        refused=perhaps(0.05),
        answer_lost=perhaps(0.05),
        slow=perhaps(0.01),
        between_outages=perhaps(12.0),
        between_crashes=perhaps(15.0),
        crash_at_commit=perhaps(0.003),
        between_power_failures=perhaps(30.0),
        between_stops=perhaps(25.0),
        skew=perhaps(5.0),
        impatient=perhaps(0.2),
        repeated=perhaps(0.25),
        confused=perhaps(0.05),
        poisoned=perhaps(0.01),
        short_holds=perhaps(0.1),
        between_grants=perhaps(2.0),
    )


def calm(plan: Plan) -> Plan:
    """The same world without troubles."""
    return replace(plan, **TROUBLES)
