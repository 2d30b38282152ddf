"""What is said to the books beside holds and charges (`core.ports`), and what comes of it."""

from typing import Literal

from msgspec import Struct

from quantized.core.errors import Fault
from quantized.core.ports import Charge, Hold, HoldOrder, Receipt


class LedgerMisuse(Exception):
    """A verb that no correct program says; nothing happened."""


class UnknownHold(LedgerMisuse):
    def __init__(self, hold_id: str) -> None:
        super().__init__(f"there is no hold {hold_id!r}")


class HoldEnded(LedgerMisuse):
    def __init__(self, hold_id: str) -> None:
        super().__init__(f"the hold {hold_id!r} has ended and cannot be taken again")


class EntryExists(LedgerMisuse):
    def __init__(self, entry_id: str) -> None:
        super().__init__(f"the entry {entry_id!r} exists already and says something else")


class Release(Struct, frozen=True):
    hold_id: str
    reason: str


class Adjustment(Struct, frozen=True):
    """Credits given (`grant`) or corrected, up or down. `id` is minted by whoever says it; it counts once."""

    id: str
    license_id: str
    kind: Literal["grant", "adjustment"]
    amount: int
    reason: str
    actor: str


class Refund(Struct, frozen=True):
    """What was charged for a request given back, whole or in part; `amount` is None for all that is left of
    it. `id` is minted by whoever says it; it counts once."""

    id: str
    hold_id: str
    request_id: str
    amount: int | None
    reason: str
    actor: str


class Refunded(Struct, frozen=True):
    """`remaining` is the balance right after, None for an unlimited licence."""

    license_id: str
    amount: int
    remaining: int | None


Verb = HoldOrder | Charge | Release
Result = Hold | Receipt | bool | Fault | LedgerMisuse
"""What a verb came to: its result, or why it was refused."""
