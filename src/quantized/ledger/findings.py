"""What an audit says."""

from typing import Literal

from msgspec import Struct, field

Check = Literal[
    "seq", "hash", "head", "entry", "balance", "cache", "record", "record_missing", "charge", "overrun",
    "refund", "hold", "stray",
]  # fmt: skip


class Finding(Struct, frozen=True, omit_defaults=True):
    """Something that is wrong, and where: as far as they apply the licence, the number of its entry, the
    hold, and the column with what it says and what it should say."""

    check: Check
    message: str
    license_id: str | None = None
    seq: int | None = None
    hold_id: str | None = None
    column: str | None = None
    found: str | int | None = None
    expected: str | int | None = None


class Tally(Struct):
    """What was looked at so far. `accounts` has the balance of each account, all licences in one; they sum to
    zero. Amounts are micro-credits."""

    licenses: int = 0
    entries: int = 0
    records: int = 0
    findings: int = 0
    accounts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("institution", "license", "revenue", "overrun"), 0)
    )
