"""Many short worlds, one after the other, each on a database of its own and from a seed of its own."""

import re
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from msgspec import Struct

from quantized.storage.migrate import migrate
from simulation.books import Broken
from simulation.plan import TROUBLES, Plan, draw, smaller
from simulation.trace import Trace
from simulation.world import World

STEPS = 1_500
"""After so many an episode comes to rest. A database that is new from time to time is a fast one, and what is
found is found again in a moment."""

_LAST = 15

_IN_MEMORY = Path("/dev/shm")


class Failure(Struct, frozen=True):
    plan: Plan
    steps: int
    error: BaseException
    lines: list[str]

    def __str__(self) -> str:
        troubles = [
            f"{name} {value}" for name, value in _fields(self.plan).items() if value != TROUBLES.get(name)
        ]
        return "\n".join([
            *self._worth_reading(),
            "",
            f"after {self.steps} steps: {type(self.error).__name__}: {self.error}",
            f"in a world of {', '.join(troubles)}",
            f"again: make simulate SEED={self.plan.seed}",
        ])  # fmt: skip

    @property
    def law(self) -> str:
        """Which is broken, or what kind of exception nobody expected."""
        return (
            str(self.error).partition(": ")[0] if isinstance(self.error, Broken) else repr(type(self.error))
        )

    def _worth_reading(self) -> list[str]:
        """The last steps, and all that were about the hold that the failure names."""
        named = re.search(r"\bhold-\d+\b", str(self.error))
        about = re.compile(rf"\b{named[0]}\b|dies|away|back|calm") if named else None
        last = len(self.lines) - _LAST
        return [line for n, line in enumerate(self.lines) if n >= last or (about and about.search(line))]


class Episodes:
    """A context: its databases are gone at the end."""

    def __init__(self, *, tell: Callable[[str], None] | None = None) -> None:
        self.steps = 0
        self.played = 0
        self._tell = tell
        self._digest = sha256()

    def __enter__(self) -> "Episodes":
        self._folder = Path(
            tempfile.mkdtemp(prefix="simulation-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
        )
        self._template = self._folder / "template.db"
        migrate(f"sqlite:///{self._template}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder)

    @property
    def digest(self) -> str:
        """Of everything that happened."""
        return self._digest.hexdigest()

    def run(self, seed: str, steps: int) -> Failure | None:
        """Until `steps` were taken; of a seed with an episode's number only that one."""
        number = 0
        while self.steps < steps:
            failure = self.play(draw(seed if ":" in seed else f"{seed}:{number}"))
            if failure is not None or ":" in seed:
                return failure
            number += 1
        return None

    def shrink(self, failure: Failure) -> Failure:
        """A world with fewer troubles in which the same law is broken, in fewer steps if that can be."""
        for seed in smaller(failure.plan):
            less = self.play(draw(seed))
            if less is not None and less.law == failure.law:
                return self.shrink(less)
        return failure

    def play(self, plan: Plan) -> Failure | None:
        path = self._folder / "episode.db"
        shutil.copyfile(self._template, path)
        trace = Trace(tell=self._tell)
        try:
            World(plan, path, STEPS, trace).play()
        except Exception as error:  # noqa: BLE001  whatever it is, it is what was looked for
            return Failure(plan, trace.steps, error, trace.lines)
        finally:
            for file in self._folder.glob("episode.db*"):
                file.unlink()
            self.steps += trace.steps
            self.played += 1
            self._digest.update(trace.digest.encode())
        return None


def _fields(plan: Plan) -> dict[str, object]:
    return {name: getattr(plan, name) for name in plan.__struct_fields__ if name != "seed"}
