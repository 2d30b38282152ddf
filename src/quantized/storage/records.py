"""What the ledger's store hands out and takes in. Plain data: amounts in micro-credits, times in Unix ms."""

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct, field

from quantized.core.ports import Charge, HoldOrder, Receipt

HoldState = Literal["open", "settled", "released"]
EntryKind = Literal["grant", "charge", "overrun", "adjustment"]


class LicenseRow(Struct, array_like=True):
    """A licence's cached balance. `entries` is the number of its newest entry."""

    id: str
    unlimited: bool
    active: bool
    granted: int
    used: int
    held: int
    entries: int

    @property
    def balance(self) -> int | None:
        """What is left, holds not deducted; None for an unlimited licence."""
        return None if self.unlimited else self.granted - self.used


class HoldRow(Struct, array_like=True):
    """A hold, and the receipt of its settlement where there is one (then `charged` is not None)."""

    id: str
    license_id: str
    amount: int
    state: HoldState
    charged: int | None = None
    overrun: int | None = None
    remaining: int | None = None


class EntryRow(Struct, frozen=True, array_like=True):
    """One line of a licence's statement; see `storage.schema.ledger_entry`."""

    license_id: str
    seq: int
    id: str | None
    kind: EntryKind
    amount: int
    balance_after: int | None
    hold_id: str | None
    request_id: str | None
    reason: str | None
    actor: str | None
    estimated: bool
    created_at: int


class OpenHold(Struct, frozen=True):
    """A hold that nobody has ended, with all that is known about the request behind it."""

    id: str
    license_id: str
    amount: int
    taken_at: int
    expires_at: int
    request_id: str
    key_id: str
    provider: str
    model: str


class Needs(Struct, frozen=True):
    """Which rows a batch of verbs must see. The licences of the holds come along unasked."""

    hold_ids: list[str] = []
    license_ids: list[str] = []
    entry_ids: list[str] = []


class Rows(Struct, frozen=True):
    """The rows that were asked for, by id, as far as they exist."""

    licenses: dict[str, LicenseRow]
    holds: dict[str, HoldRow]
    entries: dict[str, EntryRow]


class Settlement(Struct, frozen=True):
    charge: Charge
    receipt: Receipt
    at: int


class Changes(Struct):
    """What a batch decided, in the order in which it is written. `ended` is hold id by state and reason."""

    licenses: dict[str, LicenseRow] = field(default_factory=dict)
    holds: list[tuple[HoldOrder, int]] = field(default_factory=list)
    ended: dict[tuple[HoldState, str | None], list[str]] = field(default_factory=dict)
    entries: list[EntryRow] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)


class Rejected(Exception):
    """The database is well, but will not take these rows: a row breaks a rule that the schema holds."""


class LedgerStore(Protocol):
    """One database's side of the ledger. Blocking; one thread at a time."""

    def transact(
        self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int, durable: bool = True
    ) -> None:
        """Reads, decides and writes in one transaction that nobody else's writes come between. What was
        written outlives the process when this returns; where it is `durable`, the machine.

        Raises LedgerUnavailable when the database does not take it, Rejected when it never will, and whatever
        `decide` raises; nothing was written then.
        """

    def expired_holds(self, now_ms: int, limit: int) -> list[OpenHold]:
        """Open holds whose time is over, the oldest first. Raises LedgerUnavailable."""

    def close(self) -> None: ...
