"""Who waits for the database, and how many of them it is told of at a time.

What a transaction did not bring home is tried again in halves, down to the one verb that it was for; that one
stands aside from then on, so that it holds up nobody but itself and what is said of the same hold.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from quantized.core.ports import HoldOrder
from quantized.core.turns import Turn
from quantized.ledger.verbs import Verb

BATCH_BYTES = 1_000_000
"""Of turns that are written in one transaction; a larger one is written by itself."""

_FIRST_REST, _LONGEST_REST = 0.05, 5.0
"""Seconds that a verb stands aside after it failed by itself. Each further failure doubles them."""

_FIRST_LOOK, _LONGEST_LOOK = 0.02, 0.5
"""The same for one whose rows somebody else has locked, which costs next to nothing to find out, and for a
charge that the disk has not confirmed."""


class Said:
    """A verb, and who waits for what comes of it until when (in the loop's time). `weight`: about how many
    bytes a turn of it is. `tried`: the database may have taken it, whatever was heard of that. `late`: was
    told to wait no longer. `alone`: fails by itself. `again_at`: not to be tried before."""

    __slots__ = (
        "again_at", "alone", "answer", "deadline", "failures", "hold_id", "late", "tried", "verb", "weight",
    )  # fmt: skip

    def __init__(self, verb: Verb, answer: asyncio.Future[Any], deadline: float) -> None:
        self.verb = verb
        self.hold_id = verb.id if type(verb) is HoldOrder else verb.hold_id  # type: ignore[union-attr]
        self.answer = answer
        self.deadline = deadline
        self.weight = 0
        self.tried = False
        self.late = False
        self.alone = False
        self.failures = 0
        self.again_at = 0.0

    def rest(self, now: float, first: float, longest: float) -> None:
        # Bounded: a float's exponent ends after the first thousand tries.
        self.again_at = now + min(first * 2.0 ** min(self.failures, 10), longest)
        self.failures += 1


class Line:
    """The verbs that wait. Those about one hold are always taken in the order in which they were said."""

    def __init__(self, most: int) -> None:
        """`most`: verbs in one transaction."""
        self._most = most
        self._share = most
        self._main: list[Said] = []
        self._aside: list[Said] = []
        self._bytes = 0
        """Of those in the main line."""
        self._stepped_aside = False

    def __len__(self) -> int:
        return len(self._main) + len(self._aside)

    def __iter__(self) -> Iterator[Said]:
        return chain(self._aside, self._main)

    @property
    def moving(self) -> bool:
        """Whether anybody waits who does not stand aside."""
        return bool(self._main)

    def add(self, said: Said) -> None:
        self._main.append(said)
        self._bytes += said.weight

    def take(self, now: float) -> list[Said]:
        """The next batch; empty where nobody's time has come."""
        if self._aside:
            alone = self._alone(now)
            self._rejoin(now)
            if alone is not None and not (self._main and self._stepped_aside):
                self._stepped_aside = True
                self._aside.remove(alone)
                return [alone]
            self._stepped_aside = False
        count = self._share if self._bytes <= BATCH_BYTES else self._fitting()
        batch, self._main = self._main[:count], self._main[count:]
        if self._bytes:
            self._bytes -= sum([said.weight for said in batch])
        return batch

    def rest(self, now: float) -> float | None:
        """Seconds until somebody's time comes; None where nobody waits."""
        if self._main:
            return 0.0
        # Whoever is behind another of the same hold has no time of its own.
        times: dict[str, float] = {}
        for said in self._aside:
            times.setdefault(said.hold_id, said.again_at)
        return max(0.0, min(times.values()) - now) if times else None

    def written(self) -> None:
        """The last batch came home."""
        self._share = min(2 * self._share, self._most)

    def give_back(self, batch: list[Said]) -> None:
        """Nobody looked at the batch: its turn is still to come."""
        if batch and batch[0].alone:
            self._aside[:0] = batch
        else:
            self._main[:0] = batch
            self._bytes += sum([said.weight for said in batch])

    def failed(self, batch: list[Said], now: float) -> None:
        """The batch was tried and did not come home."""
        if len(batch) == 1:
            batch[0].alone = True
            batch[0].rest(now, _FIRST_REST, _LONGEST_REST)
        else:
            self._share = max(1, len(batch) // 2)
        self.give_back(batch)

    def held_up(self, batch: list[Said], now: float) -> None:
        """Others have locked what these are about, or the disk has not confirmed them."""
        for said in batch:
            said.alone = False
            said.rest(now, _FIRST_LOOK, _LONGEST_LOOK)
        self._aside[:0] = batch

    def drop(self, unwanted: Callable[[Said], bool]) -> None:
        self._main = [said for said in self._main if not unwanted(said)]
        self._aside = [said for said in self._aside if not unwanted(said)]
        self._bytes = sum([said.weight for said in self._main])

    def _alone(self, now: float) -> Said | None:
        for said in self._aside:
            if said.alone and said.again_at <= now:
                return said
        return None

    def _rejoin(self, now: float) -> None:
        """Whoever's time has come goes to the end, with whoever is behind it, so that it holds up nobody; and
        whoever is behind one that stands aside goes there."""
        moving: list[Said] = []
        resting: list[Said] = []
        back: list[Said] = []
        behind: set[str] = set()
        returning: set[str] = set()
        for said in self._aside:
            if said.alone or said.again_at > now or said.hold_id in behind:
                resting.append(said)
                behind.add(said.hold_id)
            else:
                back.append(said)
                returning.add(said.hold_id)
        for said in self._main:
            if said.hold_id in behind:
                resting.append(said)
            elif said.hold_id in returning:
                back.append(said)
            else:
                moving.append(said)
        moving += back
        self._main, self._aside = moving, resting
        self._bytes = sum([said.weight for said in moving])

    def _fitting(self) -> int:
        total = 0
        for count, said in enumerate(self._main[: self._share]):
            total += said.weight
            if total > BATCH_BYTES and count:
                return count
        return self._share


def weight(turn: Turn) -> int:
    """About how many bytes it takes in the database."""
    # An item is there as it is shown, as the messages that it stands for, and again in the conversation.
    return len(turn.body) + 3 * sum([len(item.json) for items in (turn.input, turn.output) for item in items])
