"""Orders and charges of licences that are limited, and what their rows say."""

from typing import Any

from ledger_world import charge, order, query
from msgspec.structs import replace

from quantized.core.limits import Limits
from quantized.core.ports import Charge, HoldOrder
from quantized.core.usage import Usage

MINUTE = 60_000


def limited(limits: Limits, tokens: int = 0, *, wanted: int = 10, license_id: str = "l") -> HoldOrder:
    return replace(order(license_id, wanted), limits=limits, tokens=tokens)


def used(wish: HoldOrder, price: int = 1, *, read: int = 0, written: int = 0) -> Charge:
    """The charge of what was ordered, for so many tokens."""
    said = charge(wish.id, wish.license_id, price, user_id=wish.user_id)
    return replace(said, usage=Usage(input=read, output=written), limits=wish.limits, user_cap=wish.user_cap)


def by(user: str, cap: int | None, wanted: int, minimum: int = 1, license_id: str = "l") -> HoldOrder:
    return replace(order(license_id, wanted, minimum), user_id=user, user_cap=cap)


def gauges(url: str, license_id: str = "l") -> dict[str, Any]:
    columns = "held, open_holds, requests_owed, tokens_owed, metered_at"
    return query(url, f"SELECT {columns} FROM license WHERE id = ?", license_id)[0]


def shares(url: str) -> dict[str, tuple[int, int]]:
    """(used, held) by user."""
    rows = query(url, "SELECT user_id, used, held FROM user_allowance")
    return {row["user_id"]: (row["used"], row["held"]) for row in rows}
