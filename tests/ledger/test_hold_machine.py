"""Random lives of many holds against the real ledger, compared with a model after every step."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from database_copies import Templates
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from ledger_world import SetClock, add_license, audit, charge, order

from quantized.core.errors import InsufficientCredits
from quantized.core.ports import Hold, Receipt
from quantized.ledger.credits import grant
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.rules import HoldEnded
from quantized.ledger.sweeper import Sweeper
from quantized.storage.stores import ledger_store

LICENSES = ("small", "large", "unlimited")
amounts = st.integers(0, 120)


class Account:
    def __init__(self, granted: int, unlimited: bool) -> None:
        self.granted, self.used, self.held, self.unlimited = granted, 0, 0, unlimited

    @property
    def free(self) -> int:
        return self.granted - self.used - self.held

    @property
    def balance(self) -> int | None:
        return None if self.unlimited else self.granted - self.used


class Taken:
    def __init__(self, wish: Any, amount: int) -> None:
        self.wish, self.amount = wish, amount
        self.open = True
        self.receipt: Receipt | None = None


class Lives(RuleBasedStateMachine):
    templates: Templates
    kind: str
    holds: Bundle[Taken] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        folder = self.resources.enter_context(TemporaryDirectory())
        copy = self.templates.copy(self.kind, Path(folder) / "ledger.db")
        self.url = self.resources.enter_context(copy)
        self.clock = SetClock()
        self.accounts = {
            "small": Account(100, False),
            "large": Account(400, False),
            "unlimited": Account(0, True),
        }
        for name, account in self.accounts.items():
            add_license(self.url, name, account.granted, unlimited=account.unlimited)
        self.grants = 0
        self.taken: list[Taken] = []
        self.runner = asyncio.Runner()
        self.runner.run(self.start())

    async def start(self) -> None:
        self.ledger = GroupCommitLedger(ledger_store(self.url), self.clock)

    def teardown(self) -> None:
        self.runner.run(self.ledger.close())
        self.runner.close()
        self.resources.close()

    @rule(
        target=holds,
        license_id=st.sampled_from(LICENSES),
        wishes=st.lists(st.tuples(amounts, amounts).map(sorted), min_size=1, max_size=5),
        lifetime=st.integers(1, 50),
    )
    def hold(self, license_id: str, wishes: list[list[int]], lifetime: int) -> Any:
        expires_at = self.clock.now + lifetime
        orders = [order(license_id, most, least, expires_at=expires_at) for least, most in wishes]

        async def together() -> list[Any]:
            return await asyncio.gather(*map(self.ledger.hold, orders), return_exceptions=True)

        account = self.accounts[license_id]
        taken = []
        for wish, result in zip(orders, self.runner.run(together()), strict=True):
            amount = wish.wanted if account.unlimited else min(wish.wanted, account.free)
            if amount < wish.minimum:
                assert isinstance(result, InsufficientCredits)
                continue
            assert result == Hold(wish.id, license_id, amount)
            account.held += amount
            taken.append(Taken(wish, amount))
        self.taken += taken
        return multiple(*taken)

    @rule(taken=holds)
    def hold_again(self, taken: Taken) -> None:
        if taken.open:
            assert self.say(self.ledger.hold, taken.wish).amount == taken.amount
        else:
            with pytest.raises(HoldEnded):
                self.say(self.ledger.hold, taken.wish)

    @rule(taken=holds, price=amounts)
    def settle(self, taken: Taken, price: int) -> None:
        account = self.accounts[taken.wish.license_id]
        receipt = self.say(self.ledger.settle, charge(taken.wish.id, taken.wish.license_id, price))
        if taken.receipt is None:
            self.end(taken)
            charged = price if account.unlimited else min(price, account.free)
            account.used += charged
            taken.receipt = Receipt(charged, price - charged, account.balance)
        assert receipt == taken.receipt

    @rule(taken=holds)
    def release(self, taken: Taken) -> None:
        self.say(self.ledger.release, taken.wish.id, "changed its mind")
        self.end(taken)

    @rule(license_id=st.sampled_from(LICENSES), amount=st.integers(1, 100), again=st.booleans())
    def give(self, license_id: str, amount: int, again: bool) -> None:
        self.grants += 1
        account = self.accounts[license_id]
        account.granted += amount
        for _ in range(1 + again):
            balance = grant(
                self.url,
                entry_id=f"grant-{self.grants}",
                license_id=license_id,
                amount=amount,
                reason="",
                actor="",
                now_ms=self.clock.now,
            )
            assert balance == account.balance

    @rule(milliseconds=st.integers(1, 30))
    def sweep(self, milliseconds: int) -> None:
        self.clock.now += milliseconds
        store = ledger_store(self.url)
        swept = self.runner.run(Sweeper(self.ledger, store, self.clock).sweep())
        store.close()
        expired = [taken for taken in self.taken if taken.open and taken.wish.expires_at <= self.clock.now]
        assert swept == len(expired)
        for taken in expired:
            self.end(taken)

    @rule()
    def restart(self) -> None:
        self.runner.run(self.ledger.close())
        self.runner.run(self.start())

    @invariant()
    def the_rows_agree(self) -> None:
        model = {name: (a.granted, a.used, a.held) for name, a in self.accounts.items()}
        assert audit(self.url) == model

    def say(self, verb: Any, *words: Any) -> Any:
        async def saying() -> Any:
            return await verb(*words)

        return self.runner.run(saying())

    def end(self, taken: Taken) -> None:
        if taken.open:
            taken.open = False
            self.accounts[taken.wish.license_id].held -= taken.amount


@pytest.mark.parametrize(("kind", "lives"), [("sqlite", 20), ("postgresql", 5)])
def test_any_life_of_holds_keeps_the_books(templates: Templates, kind: str, lives: int) -> None:
    class OnTemplate(Lives):
        pass

    OnTemplate.templates, OnTemplate.kind = templates, kind
    run_state_machine_as_test(
        OnTemplate,
        settings=settings(
            max_examples=lives,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
