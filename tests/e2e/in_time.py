"""What is promised within a time, measured on machines that others use, too."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.05
"""Seconds between one question and the next, where many are asked until the answer changes: who asks without
a pause takes the processor from those that are waited for."""


def unhurried(seconds: float) -> float:
    """`seconds`, and the longer the more the machine has to do than it has processors, now or in the last
    minute: what others compute takes caches and disks from a process also while it runs."""
    lately, _, _, now, _ = Path("/proc/loadavg").read_text().split()
    return seconds * max(1.0, max(float(lately), int(now.partition("/")[0])) / (os.cpu_count() or 1))


class Try:
    """One measurement: of the longest of what it is given to time."""

    def __init__(self) -> None:
        self.took = 0.0

    @contextmanager
    def timing(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.took = max(self.took, time.monotonic() - began)


def tries(seconds: float, most: int = 5) -> Iterator[Try]:
    """Another try as long as none was within `seconds`, unhurried: one that was shows that we wait for
    nothing longer, and those that were not how busy the machine is. What else is asserted holds in each."""
    spent = []
    for _ in range(most):
        this = Try()
        yield this
        if this.took <= unhurried(seconds):
            return
        spent.append(this.took)
    raise AssertionError(f"not within {seconds} s: {spent}")
