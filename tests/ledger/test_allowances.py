"""What one user may use of a licence: never more, in whatever crowd, and whoever pays what."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from books_world import give_back, verify
from ledger_world import add_license, audit, charge, ledger_on, order, query
from limits_world import by, shares, used
from msgspec.structs import replace
from plain_sql import plainly
from test_ledger_crowds import OURS

from quantized.core.errors import AllowanceExhausted, InsufficientCredits
from quantized.core.ports import Hold, Receipt

STUDENT = str(Path(__file__).with_name("student.py"))


@pytest.fixture
def url(url: str) -> str:
    add_license(url, "l", 100_000)
    add_license(url, "u", unlimited=True)
    return url


def set_own(url: str, user: str, cap: int | None, license_id: str = "l") -> None:
    with plainly(url) as sql:
        sql(
            "INSERT INTO user_allowance (license_id, user_id, cap) VALUES (?, ?, ?)"
            " ON CONFLICT (license_id, user_id) DO UPDATE SET cap = excluded.cap",
            license_id,
            user,
            cap,
        )


@pytest.mark.parametrize("license_id", ["l", "u"])
async def test_a_crowd_of_one_users_requests_shares_the_allowance_exactly(url: str, license_id: str) -> None:
    async with ledger_on(url) as ledger:
        wishes = [by("ann", 1_000, 7, 7, license_id) for _ in range(300)]
        results = await asyncio.gather(*map(ledger.hold, wishes), return_exceptions=True)
        holds = [result for result in results if isinstance(result, Hold)]
        assert len(holds) == 142
        assert {type(result) for result in results} == {Hold, AllowanceExhausted}
        assert shares(url) == {"ann": (0, 994)}
        # Others are not concerned.
        assert (await ledger.hold(by("bob", 1_000, 1_000, license_id=license_id))).amount == 1_000
        assert (await ledger.hold(order(license_id, 500))).amount == 500
        taken = [wish for wish, result in zip(wishes, results, strict=True) if isinstance(result, Hold)]
        receipts = await asyncio.gather(*(ledger.settle(used(wish, 9)) for wish in taken))
        assert sum(receipt.charged for receipt in receipts) == 1_000
        assert sum(receipt.charged + receipt.overrun for receipt in receipts) == 9 * 142
        assert shares(url) == {"ann": (1_000, 0), "bob": (0, 1_000)}
        with pytest.raises(AllowanceExhausted) as refusal:
            await ledger.hold(by("ann", 1_000, 1, license_id=license_id))
        assert refusal.value.code == "user_allowance_exhausted"
        assert "your own allowance" in refusal.value.message
        # What costs nothing needs none.
        assert (await ledger.hold(by("ann", 1_000, 0, 0, license_id))).amount == 0
    assert verify(url) == []


async def test_a_hold_is_lowered_to_what_the_user_has_left(url: str) -> None:
    async with ledger_on(url) as ledger:
        assert (await ledger.hold(by("ann", 30, 100))).amount == 30
        assert (await ledger.hold(by("bob", 10**9, 10**9))).amount == 100_000 - 30
        with pytest.raises(InsufficientCredits) as poor:
            await ledger.hold(by("cid", 10**9, 5))
        assert not isinstance(poor.value, AllowanceExhausted)
    assert verify(url) == []


async def test_ones_own_allowance_counts_before_the_default(url: str) -> None:
    set_own(url, "ann", 50)
    set_own(url, "bob", 0)
    async with ledger_on(url) as ledger:
        assert (await ledger.hold(by("ann", 10, 100))).amount == 50
        with pytest.raises(AllowanceExhausted):
            await ledger.hold(by("bob", 10, 1))
        set_own(url, "ann", None)
        with pytest.raises(AllowanceExhausted):
            await ledger.hold(by("ann", 10, 1))
        assert (await ledger.hold(by("ann", 60, 100))).amount == 10
    assert verify(url) == []


async def test_what_was_let_in_is_paid_for_when_the_allowance_has_been_lowered(url: str) -> None:
    async with ledger_on(url) as ledger:
        wish = by("ann", 100, 80)
        await ledger.hold(wish)
        set_own(url, "ann", 10)
        assert await ledger.settle(used(wish, 70)) == Receipt(70, 0, 100_000 - 70)
        assert shares(url) == {"ann": (70, 0)}
        with pytest.raises(AllowanceExhausted):
            await ledger.hold(by("ann", 100, 1))
    assert verify(url) == []


async def test_late_charges_and_refunds_are_the_users_too(url: str) -> None:
    async with ledger_on(url) as ledger:
        wish = by("ann", 100, 80)
        await ledger.hold(wish)
        await ledger.release(wish.id, "expired")
        assert shares(url) == {"ann": (0, 0)}
        other = by("ann", 100, 60)
        await ledger.hold(other)
        # Of what the other request has not set aside.
        assert await ledger.settle(used(wish, 70)) == Receipt(40, 30, 100_000 - 40)
        assert await ledger.settle(used(wish, 70)) == Receipt(40, 30, 100_000 - 40)
        assert await ledger.settle(used(other, 60)) == Receipt(60, 0, 100_000 - 100)
        assert shares(url) == {"ann": (100, 0)}
        give_back(url, "back", other.id, 25)
        give_back(url, "back", other.id, 25)
        assert shares(url) == {"ann": (75, 0)}
        assert (await ledger.hold(by("ann", 100, 100))).amount == 25
    assert verify(url) == []
    audit(url)


async def test_where_no_allowance_applies_nobody_counts(url: str) -> None:
    async with ledger_on(url) as ledger:
        wish = order("l", 10)
        await ledger.hold(wish)
        await ledger.settle(charge(wish.id, "l", 10, user_id="ann"))
        assert query(url, "SELECT * FROM user_allowance") == []
        assert (await ledger.hold(by("ann", 30, 100))).amount == 30


async def test_the_auditor_finds_other_sums(url: str) -> None:
    async with ledger_on(url) as ledger:
        wish = by("ann", 100, 80)
        await ledger.hold(wish)
        await ledger.settle(used(wish, 33))
        await ledger.hold(replace(wish, id="hold-open", request_id="req-of-hold-open"))
    assert verify(url) == []
    for column, was in (("used", 33), ("held", 67)):
        with plainly(url) as sql:
            sql(f"UPDATE user_allowance SET {column} = 1")
        assert [(found.column, found.found, found.expected) for found in verify(url)] == [(column, 1, was)]
        with plainly(url) as sql:
            sql(f"UPDATE user_allowance SET {column} = ?", was)
    with plainly(url) as sql:
        sql("DELETE FROM user_allowance")
        sql("UPDATE license SET open_holds = 2 WHERE id = 'l'")
    assert {(found.column, found.expected) for found in verify(url)} == {
        ("used", 33), ("held", 67), ("open_holds", 1)
    }  # fmt: skip


def test_two_processes_let_a_user_have_no_more_than_the_allowance(url: str) -> None:
    children = [
        subprocess.Popen([sys.executable, STUDENT, url, name], stdout=subprocess.PIPE, text=True, env=OURS)
        for name in ("a", "b")
    ]
    told = [child.communicate(timeout=200)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    charged, most_at_once = zip(*(map(int, line.split()) for line in told), strict=True)
    assert sum(charged) == 2_000
    assert max(most_at_once) <= 8
    assert shares(url) == {"ann": (2_000, 0)}
    assert verify(url) == []
