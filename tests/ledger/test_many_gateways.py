"""Several gateways on one database and one small balance, watched by an auditor at every moment."""

import asyncio
import random
import threading
from collections import Counter
from contextlib import AsyncExitStack

import pytest
from ledger_world import add_license, audit, charge, ledger_on, order, query
from plain_sql import rows

from quantized.core.errors import InsufficientCredits
from quantized.core.ports import Receipt
from quantized.ledger.credits import grant
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.verbs import LedgerMisuse

GATEWAYS = 4
LICENSES = {"a": 700, "b": 300, "c": 50}


class Watching(threading.Thread):
    """Audits again and again; `audit` looks at one moment each time."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.moments: set[tuple[tuple[str, tuple[int, int, int]], ...]] = set()
        self.failure: Exception | None = None
        self.over = threading.Event()

    def run(self) -> None:
        try:
            while not self.over.is_set():
                self.moments.add(tuple(sorted(audit(self.url).items())))
        except (AssertionError, KeyError) as failure:
            self.failure = failure


@pytest.fixture
def watched(url: str) -> str:
    for name, balance in LICENSES.items():
        add_license(url, name, balance)
    return url


async def spend(ledger: GroupCommitLedger, name: str, seed: int, receipts: dict[str, Receipt]) -> None:
    """Some requests, one after the other, on licences at random."""
    chance = random.Random(f"{name}-{seed}")
    for number in range(8):
        license_id = chance.choice([*LICENSES])
        try:
            hold = await ledger.hold(
                order(license_id, chance.randint(1, 30), hold_id=f"{name}-{seed}-{number}")
            )
        except InsufficientCredits:
            continue
        if chance.random() < 0.3:
            await ledger.release(hold.id, "cut")
        if chance.random() < 0.8:
            receipts[hold.id] = await ledger.settle(charge(hold.id, license_id, chance.randint(0, 40)))
        else:
            await ledger.release(hold.id, "over")


async def test_nobody_ever_sees_more_spent_and_held_than_there_is(watched: str) -> None:
    watching = Watching(watched)
    watching.start()
    receipts: dict[str, Receipt] = {}
    try:
        async with AsyncExitStack() as gateways:
            ledgers = [
                await gateways.enter_async_context(ledger_on(watched, patience=20, busy_seconds=20))
                for _ in range(GATEWAYS)
            ]
            await asyncio.gather(
                *(
                    spend(ledger, f"g{at}", n, receipts)
                    for at, ledger in enumerate(ledgers)
                    for n in range(20)
                )
            )
    finally:
        watching.over.set()
        await asyncio.to_thread(watching.join)
    assert watching.failure is None
    assert len(watching.moments) > 2, "something between the beginning and the end"
    charged = dict(rows(watched, "SELECT hold_id, charged FROM usage_record"))
    assert charged == {hold_id: receipt.charged for hold_id, receipt in receipts.items()}
    spent = {name: (granted, used) for name, (granted, used, held) in audit(watched).items() if held == 0}
    assert spent.keys() == LICENSES.keys()
    assert sum(used for _, used in spent.values()) == sum(charged.values())
    assert spent["c"] == (50, 50)  # the smallest was asked for more than it had
    if not watched.startswith("sqlite"):
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert query(watched, deadlocks) == [{"deadlocks": 0}]


async def test_what_two_gateways_say_at_once_counts_once(watched: str) -> None:
    async with ledger_on(watched, patience=20) as one, ledger_on(watched, patience=20) as other:
        wishes = [order("a", 5, hold_id=f"h{number}") for number in range(40)]
        both = await asyncio.gather(*(ledger.hold(wish) for wish in wishes for ledger in (one, other)))
        assert len({hold.id for hold in both}) == 40
        assert audit(watched)["a"] == (700, 0, 200)
        said = [ledger.settle(charge(wish.id, "a", 3)) for wish in wishes for ledger in (one, other)]
        said += [ledger.expire(wish.id) for wish in wishes for ledger in (one, other)]  # type: ignore[misc]
        results = await asyncio.gather(*said)
        told = Counter(zip([w.id for w in wishes for _ in (one, other)], results[:80], strict=True))
        assert len(told) == 40  # each told the same by both
    assert audit(watched)["a"] == (700, 120, 0)


async def test_an_entry_of_one_name_is_one_licences(watched: str) -> None:
    """Nothing but its name connects the two."""

    def give(license_id: str) -> object:
        try:
            return grant(
                watched, entry_id="g", license_id=license_id, amount=5, reason="", actor="", now_ms=0
            )
        except LedgerMisuse as misuse:
            return type(misuse).__name__

    given = await asyncio.gather(*(asyncio.to_thread(give, name) for name in ("a", "b") for _ in range(4)))
    assert sorted(map(str, given)) in (["705"] * 4 + ["EntryExists"] * 4, ["305"] * 4 + ["EntryExists"] * 4)
    granted = {name: granted for name, (granted, _, _) in audit(watched).items()}
    assert sum(granted.values()) == sum(LICENSES.values()) + 5
