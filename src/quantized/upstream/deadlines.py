"""One timer for all deadlines: nothing is armed per request or per piece, and nothing wakes for nobody."""

import asyncio
from collections.abc import Collection
from math import inf
from typing import Protocol

# The shortest time between two sweeps that the passing of deadlines causes. Many deadlines that lie close
# together cost one sweep, and none is met later than this (seconds).
_GRAIN = 0.02

# Loops round their timers, to a millisecond at worst, and may call early by that.
_EARLY = 0.001


class Expiring(Protocol):
    """Something with a deadline, in the running loop's time; `inf` for none."""

    @property
    def deadline(self) -> float: ...

    def expire(self) -> None:
        """The deadline has passed. Must move it."""


class Sweeper:
    """Watches the deadlines of `members`, which its owner adds to and takes from as it likes.

    Deadlines may move later without a word. Whoever moves one earlier than `wakes_at` says so by `wake_by`.
    """

    def __init__(self, members: Collection[Expiring]) -> None:
        self._members = members
        self._timer: asyncio.TimerHandle | None = None
        self.wakes_at = inf

    def wake_by(self, deadline: float) -> None:
        """Makes sure that there is a sweep at `deadline` at the latest."""
        if deadline < self.wakes_at:
            self.stop()
            self.wakes_at = deadline
            self._timer = asyncio.get_running_loop().call_at(deadline, self._sweep)

    def stop(self) -> None:
        """No sweep until the next `wake_by`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.wakes_at = inf

    def _sweep(self) -> None:
        self._timer = None
        self.wakes_at = inf
        now = asyncio.get_running_loop().time()
        for member in tuple(self._members):
            if member.deadline <= now + _EARLY:
                member.expire()
        self.wake_by(max(min((m.deadline for m in self._members), default=inf), now + _GRAIN))
