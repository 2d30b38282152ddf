"""What a process knows by the last renewal of its lease: what time it is in the database, and that nobody can
have taken it for dead yet."""

import logging

from msgspec import Struct

from quantized.core.ports import Clock

_log = logging.getLogger("quantized.ledger")

TOLERATED_MS = 2_000
"""How far a machine's clock may be off before anybody minds."""


class Moment(Struct, frozen=True):
    """By both clocks of the machine: Unix milliseconds, and seconds that nobody sets."""

    wall_ms: int
    monotonic: float


class Tenure:
    """`core.ports.Clock` for whatever several machines compare: the machine's time, put right where it and
    the database's are further apart than an answer's time explains."""

    def __init__(self, clock: Clock, term_ms: int) -> None:
        """`term_ms`: whoever was not seen for so long is taken for dead."""
        self._clock = clock
        self._term_ms = term_ms
        self._behind_ms = 0
        self._since: Moment | None = None

    def now_ms(self) -> int:
        return self._clock.now_ms() + self._behind_ms

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def moment(self) -> Moment:
        return Moment(self._clock.now_ms(), self._clock.monotonic())

    def renewed(self, asked: Moment, database_ms: int) -> None:
        """The lease that was asked for at `asked` was renewed when it was `database_ms` in the database."""
        self._since = asked
        now = self._clock.now_ms()
        explained = asked.wall_ms - TOLERATED_MS <= database_ms <= now + TOLERATED_MS
        behind = 0 if explained else database_ms - now
        if abs(behind - self._behind_ms) > TOLERATED_MS:
            _log.error(
                "the clocks of this machine and of the database differ",
                extra={"machine_ahead_seconds": -behind / 1000},
            )
        self._behind_ms = behind

    def lasts(self) -> bool:
        """Whether nobody can have taken us for dead. Either clock may stand still while a machine sleeps."""
        since = self._since
        if since is None:
            return False
        clock = self._clock
        return (
            0 <= clock.now_ms() - since.wall_ms < self._term_ms
            and (clock.monotonic() - since.monotonic) * 1000 < self._term_ms
        )
