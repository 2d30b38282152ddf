"""What each verb does, in numbers that a finance person could check."""

import pytest
from ledger_world import NOW, SetClock, add_license, audit, charge, ledger_on, order, query
from msgspec.structs import replace

from quantized.core.errors import InsufficientCredits, Unauthenticated
from quantized.core.ports import Hold, Receipt
from quantized.ledger.verbs import HoldEnded, LedgerMisuse, UnknownHold


@pytest.mark.parametrize(
    ("balance", "wanted", "minimum", "amount"),
    [
        (100, 30, 10, 30),
        (100, 100, 100, 100),
        (100, 300, 10, 100),
        (100, 300, 101, None),
        (0, 30, 1, None),
        (0, 30, 0, 0),
        (0, 0, 0, 0),
    ],
)
async def test_a_hold_is_what_is_wanted_or_what_is_there(
    url: str, balance: int, wanted: int, minimum: int, amount: int | None
) -> None:
    add_license(url, "l", balance)
    async with ledger_on(url) as ledger:
        wish = order("l", wanted, minimum)
        if amount is None:
            with pytest.raises(InsufficientCredits):
                await ledger.hold(wish)
        else:
            assert await ledger.hold(wish) == Hold(wish.id, "l", amount)
    assert audit(url) == {"l": (balance, 0, amount or 0)}


@pytest.mark.parametrize(
    ("held", "price", "receipt"),
    [
        (40, 30, Receipt(30, 0, 70)),
        (40, 40, Receipt(40, 0, 60)),
        (40, 0, Receipt(0, 0, 100)),
        (40, 60, Receipt(60, 0, 40)),  # beyond its own hold, into what is free
        (40, 90, Receipt(80, 10, 20)),  # never into the 20 that another request holds
    ],
)
async def test_a_settlement_charges_the_price_up_to_what_is_there(
    url: str, held: int, price: int, receipt: Receipt
) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        await ledger.hold(order("l", 20))
        hold = await ledger.hold(order("l", held))
        assert await ledger.settle(charge(hold.id, "l", price)) == receipt
        assert await ledger.settle(charge(hold.id, "l", price)) == receipt
        assert await ledger.settle(charge(hold.id, "l", 1)) == receipt
        await ledger.release(hold.id, "too late")
    async with ledger_on(url) as ledger:
        assert await ledger.settle(charge(hold.id, "l", price)) == receipt
    assert audit(url) == {"l": (100, receipt.charged, 20)}
    kinds = [row["kind"] for row in query(url, "SELECT kind FROM ledger_entry ORDER BY seq")]
    assert kinds == ["grant", "charge", *(["overrun"] if receipt.overrun else [])]


async def test_a_usage_record_says_everything_of_the_charge(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url, SetClock(NOW + 5)) as ledger:
        hold = await ledger.hold(order("l", 20))
        await ledger.settle(charge(hold.id, "l", 130, user_id="Åsa"))
    (record,) = query(url, "SELECT * FROM usage_record")
    assert record == {
        "hold_id": hold.id, "request_id": f"req-of-{hold.id}", "license_id": "l", "key_id": "key-1",
        "user_id": "Åsa", "surface": "chat", "provider": "demo", "model": "quantized/demo",
        "upstream_id": "gen-1",
        "input": 1, "cached_read": 2, "cache_write": 0, "cache_write_1h": 0, "input_audio": 0, "output": 3,
        "reasoning": 4, "output_audio": 0, "output_image": 0, "web_searches": 5, "price": 130, "charged": 100,
        "overrun": 30, "remaining": 0, "estimated": 0, "provider_cost": 7, "outcome": "completed",
        "started_at": NOW, "first_byte_ms": None, "duration_ms": 12, "created_at": NOW + 5,
    }  # fmt: skip


async def test_an_unlimited_licence_holds_and_pays_everything_and_has_no_balance(url: str) -> None:
    add_license(url, "l", unlimited=True)
    async with ledger_on(url) as ledger:
        hold = await ledger.hold(order("l", 10**12))
        assert hold.amount == 10**12
        receipt = await ledger.settle(charge(hold.id, "l", 10**13))
        assert receipt == Receipt(10**13, 0, None)
        assert await ledger.settle(charge(hold.id, "l", 10**13)) == receipt
    assert audit(url) == {"l": (0, 10**13, 0)}


async def test_holding_again_is_the_same_hold_until_it_ends(url: str) -> None:
    add_license(url, "l", 100)
    add_license(url, "other", 100)
    async with ledger_on(url) as ledger:
        wish = order("l", 30)
        assert await ledger.hold(wish) == await ledger.hold(wish)
        with pytest.raises(LedgerMisuse, match="another licence"):
            await ledger.hold(order("other", 30, hold_id=wish.id))
        with pytest.raises(LedgerMisuse, match="another licence"):
            await ledger.settle(charge(wish.id, "other", 3))
        assert audit(url)["l"] == (100, 0, 30)
        await ledger.release(wish.id, "refused upstream")
        await ledger.release(wish.id, "said again")
        with pytest.raises(HoldEnded):
            await ledger.hold(wish)
    assert audit(url)["l"] == (100, 0, 0)
    (row,) = query(url, "SELECT state, reason, ended_at FROM hold")
    assert row == {"state": "released", "reason": "refused upstream", "ended_at": NOW}


async def test_a_settlement_after_the_release_charges_what_is_there(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        hold = await ledger.hold(order("l", 60))
        await ledger.release(hold.id, "expired")
        await ledger.hold(order("l", 70))
        receipt = await ledger.settle(charge(hold.id, "l", 50))
        assert receipt == Receipt(30, 20, 70)
        assert await ledger.settle(charge(hold.id, "l", 50)) == receipt
    assert audit(url) == {"l": (100, 30, 70)}


async def test_nothing_can_be_settled_that_was_never_held(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        with pytest.raises(UnknownHold, match="'nowhere'"):
            await ledger.settle(charge("nowhere", "l", 5))
        await ledger.release("nowhere", "its order was refused")
    assert audit(url) == {"l": (100, 0, 0)}


async def test_a_licence_that_may_not_be_used_is_refused_as_such(url: str) -> None:
    add_license(url, "l", 100, active=False)
    async with ledger_on(url) as ledger:
        for license_id, why in (("l", "inactive"), ("nobody", "unknown")):
            with pytest.raises(Unauthenticated) as refusal:
                await ledger.hold(order(license_id, 5))
            assert why in str(refusal.value.cause)


@pytest.mark.parametrize(("wanted", "minimum"), [(5, 6), (5, -1), (-1, -1), (2**61, 0)])
async def test_amounts_that_make_no_sense_are_refused(url: str, wanted: int, minimum: int) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        with pytest.raises(LedgerMisuse):
            await ledger.hold(order("l", wanted, minimum))
        hold = await ledger.hold(order("l", 5))
        for price in (-1, 2**61):
            with pytest.raises(LedgerMisuse):
                await ledger.settle(charge(hold.id, "l", price))
    assert audit(url) == {"l": (100, 0, 5)}


async def test_what_strangers_named_never_loses_a_charge(url: str) -> None:
    add_license(url, "l", 100)
    named = 'a\0b\\"\n\u2028{},é\U0001f600' + "x" * 10_000
    async with ledger_on(url) as ledger:
        hold = await ledger.hold(order("l", 10))
        told = replace(charge(hold.id, "l", 5, user_id=named), upstream_id=named)
        assert (await ledger.settle(told)).charged == 5
    (record,) = query(url, "SELECT user_id, upstream_id FROM usage_record")
    assert set(record.values()) == {named.replace("\0", "\ufffd")}
    assert audit(url) == {"l": (100, 5, 0)}
