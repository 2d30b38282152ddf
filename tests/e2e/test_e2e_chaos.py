"""A few rounds of the chaos that `make chaos` plays by the hundred."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from chaos import troubles
from chaos.rounds import Rounds


def befall(trouble: Callable[..., troubles.Trouble], at: float, machine: int = 0) -> troubles.Trouble:
    return trouble(at, machine, random.Random(1))


ROUNDS = {
    "postgresql": [
        [befall(troubles.worker, 0.2), befall(troubles.crash, 0.4)],
        [befall(troubles.lost, 0.2, 1)],
    ],
    "sqlite": [[befall(troubles.worker, 0.2)], [befall(troubles.worker, 0.2)]],
}


@pytest.mark.timeout(240)  # a dozen processes are started, on a machine that may have much else to do
@pytest.mark.parametrize("kind", ROUNDS)
def test_whatever_dies_the_books_say_what_clients_were_told(kind: str, tmp_path: Path) -> None:
    with Rounds(kind, tmp_path, "ci", customers=12, asks=6) as playing:
        for number, befalling in enumerate(ROUNDS[kind]):
            playing.play(number, befalling)
        playing.verify()
    assert playing.looks > 10
    sums = playing.sums
    assert sums.ended["answered"] > 20 and sums.charges >= sums.ended["answered"], sums
