"""What the ledger's store hands out and takes in. Plain data: amounts in micro-credits, times in Unix ms."""

from collections.abc import Callable
from typing import Literal, Protocol

from msgspec import Struct, field
from msgspec.structs import astuple

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Charge, HoldOrder, Receipt
from quantized.core.usage import Usage

HoldState = Literal["open", "settled", "released"]
EntryKind = Literal["grant", "charge", "overrun", "adjustment", "refund"]
Account = Literal["institution", "license", "revenue", "overrun"]
"""The two sides of an entry, by role: the licence is the entry's own, the institution is that licence's."""

UserKey = tuple[str, str]
"""A licence's id and a user's."""

Row = tuple[str | int | bytes | None, ...]
"""A table's row, its values in the order of the columns."""

USAGE_COLUMNS = (
    "hold_id", "request_id", "license_id", "key_id", "user_id", "surface", "provider", "model", "upstream_id",
    *Usage.__struct_fields__,
    "price", "charged", "overrun", "remaining", "estimated", "provider_cost", "outcome",
    "started_at", "first_byte_ms", "duration_ms", "created_at",
)  # fmt: skip
"""All of `storage.schema.usage_record`, in the table's order."""


class LicenseRow(Struct, array_like=True):
    """A licence's cached balance. `entries` is the number of its newest entry, and `head` that one's hash in
    hexadecimal digits, empty where there is none. `open_holds` counts the holds that `held` adds up.
    `requests_owed` and `tokens_owed` are what was in the buckets of the limits by the minute at `metered_at`
    (`ledger.meters`)."""

    id: str
    unlimited: bool
    active: bool
    granted: int
    used: int
    held: int
    entries: int
    head: str
    open_holds: int = 0
    requests_owed: int = 0
    tokens_owed: int = 0
    metered_at: int = 0

    @property
    def balance(self) -> int | None:
        """What is left, holds not deducted; None for an unlimited licence."""
        return None if self.unlimited else self.granted - self.used


class HoldRow(Struct, array_like=True):
    """A hold, and the receipt of its settlement where there is one (then `charged` is not None). `tokens` is
    what it took of a limit on tokens, `user_id` whose allowance it counts for."""

    id: str
    license_id: str
    amount: int
    state: HoldState
    charged: int | None = None
    overrun: int | None = None
    remaining: int | None = None
    tokens: int = 0
    user_id: str | None = None


class UserRow(Struct, array_like=True):
    """What a user has used and holds of an allowance within a licence. `cap` is the user's own, None where
    the licence's or its type's applies."""

    license_id: str
    user_id: str
    cap: int | None
    used: int = 0
    held: int = 0


class EntryRow(Struct, frozen=True, array_like=True):
    """One line of a licence's statement; see `storage.schema.ledger_entry`."""

    license_id: str
    seq: int
    id: str | None
    kind: EntryKind
    debit: Account
    credit: Account
    amount: int
    balance_after: int
    hold_id: str | None
    request_id: str | None
    reason: str | None
    actor: str | None
    estimated: bool
    created_at: int
    record_hash: bytes | None
    hash: bytes

    @property
    def moved(self) -> int:
        """What the entry did to the licence's balance."""
        return self.amount * ((self.credit == "license") - (self.debit == "license"))


ENTRY_COLUMNS = EntryRow.__struct_fields__
"""All of `storage.schema.ledger_entry`, in the table's order."""


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
    owner: str | None


class Needs(Struct, frozen=True):
    """Which rows a batch of verbs must see. The licences of the holds come along unasked. `refunds_of` are
    holds' ids, for all refunds of what those were charged. `users` are (licence, user): those of the holds
    come along unasked. Where `partial`, what somebody else has locked for longer may be left out:
    `Rows.locked` names it then. `new_hold_ids`: those of `hold_ids` that the batch takes, which only a verb
    said twice finds in the database."""

    hold_ids: list[str] = []
    license_ids: list[str] = []
    entry_ids: list[str] = []
    refunds_of: list[str] = []
    users: list[UserKey] = []
    partial: bool = False
    new_hold_ids: list[str] = []


class Rows(Struct, frozen=True):
    """The rows that were asked for, by id, as far as they exist; refunds as entries among the others.
    `locked` are licences that exist all the same, and holds of such."""

    licenses: dict[str, LicenseRow]
    holds: dict[str, HoldRow]
    entries: dict[str, EntryRow]
    users: dict[UserKey, UserRow] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()


class Settlement(Struct, frozen=True):
    """`record` is the row of `usage_record`, in the order of USAGE_COLUMNS."""

    charge: Charge
    receipt: Receipt
    at: int
    record: Row


def settled(charge: Charge, receipt: Receipt, at: int) -> Settlement:
    c = charge
    record = (
        c.hold_id, c.request_id, c.license_id, c.key_id, _without_nul(c.user_id), c.surface, c.provider,
        c.model, _without_nul(c.upstream_id), *astuple(c.usage),
        c.price, receipt.charged, receipt.overrun, receipt.remaining, c.estimated, c.provider_cost,
        c.outcome, c.started_at, c.first_byte_ms, c.duration_ms, at,
    )  # fmt: skip
    return Settlement(charge, receipt, at, record)


def _without_nul(text: str | None) -> str | None:
    """What strangers named is written as they named it, but for a character that PostgreSQL's text cannot
    hold: no charge is lost for it."""
    return text if text is None or "\0" not in text else text.replace("\0", "\ufffd")


class Changes(Struct):
    """What a batch decided, in the order in which it is written. `ended` is hold id by state and reason."""

    licenses: dict[str, LicenseRow] = field(default_factory=dict)
    holds: list[tuple[HoldOrder, int]] = field(default_factory=list)
    ended: dict[tuple[HoldState, str | None], list[str]] = field(default_factory=dict)
    entries: list[EntryRow] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    users: dict[UserKey, UserRow] = field(default_factory=dict)


class Rejected(Exception):
    """The database is well, but will not take these rows: a row breaks a rule that the schema holds."""


class Unreached(LedgerUnavailable):
    """Nothing was asked of the database: there was no connection, or somebody else has all of it."""


class Unconfirmed(LedgerUnavailable):
    """All of it was written and outlives the process. That it outlives the machine the disk has not said."""


BYTES_PER_SECOND = 4_000_000
"""What any database that is well writes of large values."""

_LONGEST_WRITING = 60.0


def writing_seconds(size: int) -> float:
    """What a transaction may take longer for large values of so many bytes."""
    return min(size / BYTES_PER_SECOND, _LONGEST_WRITING)


class LedgerStore(Protocol):
    """One database's side of the ledger. Blocking; one thread at a time."""

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        """Reads, decides and writes in one transaction that nobody else's writes come between. What was
        written outlives the process when this returns; where it is `durable`, the machine.

        `decide` may be asked more than once, each time about fresh rows; what it said last is written. Raises
        LedgerUnavailable when the database does not take it (or took it and could not say so), Unreached
        when that is not for what it was asked, Rejected when it never will, and whatever `decide` raises;
        nothing was written by these three. Unconfirmed where it was written, but is not durable yet.
        `committed` is called where others may go on already, and only the disk has not said yet that it has
        what was written.
        """

    def transact_at_once(self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int) -> bool:
        """`transact`, not durable, for whoever must not be kept waiting: by nobody else's transaction and by
        no disk. False, where that is not possible: nothing was written, though `decide` may have been asked.
        Raises as `transact`."""

    def close(self) -> None: ...
