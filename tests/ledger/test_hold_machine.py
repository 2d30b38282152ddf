"""Random lives of many holds against the real ledger, compared with a model after every step."""

import asyncio
from contextlib import ExitStack
from fractions import Fraction
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from books_world import verify
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
from ledger_world import SetClock, add_license, audit, charge, order, query
from limits_world import shares
from msgspec.structs import replace

from quantized.core.errors import AllowanceExhausted, InsufficientCredits, RateLimited
from quantized.core.limits import Gauge, Limits, Standing
from quantized.core.ports import Hold, HoldOrder, Receipt
from quantized.ledger.credits import grant
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import Sweeper
from quantized.ledger.verbs import HoldEnded
from quantized.storage.leases import Leases
from quantized.storage.stores import ledger_store

LICENSES = ("small", "large", "unlimited", "shared")
LIMITS = Limits(requests_per_minute=8, tokens_per_minute=200, parallel_requests=4)
"""Of the licence "shared", in which users have allowances."""
CAPS = {"ann": 60, "bob": 90}
TOKENS = 10
"""That each answer takes (`ledger_world.charge`)."""
amounts = st.integers(0, 120)


class Bucket:
    def __init__(self, limit: int) -> None:
        self.limit, self.level, self.at = limit, Fraction(0), 0

    def pour(self, count: int, now: int) -> None:
        self.level = max(Fraction(0), self.drained(now) + count)
        self.at = now

    def drained(self, now: int) -> Fraction:
        return max(Fraction(0), self.level - Fraction(self.limit * (now - self.at), 60_000))

    def wait(self, count: int, now: int) -> int:
        """Milliseconds."""
        return max(0, ceil((self.drained(now) + count - self.limit) * 60_000 / self.limit))

    def gauge(self, now: int) -> Gauge:
        level = self.drained(now)
        return Gauge(self.limit, max(0, self.limit - ceil(level)), ceil(level * 60_000 / self.limit))


class Share:
    def __init__(self, cap: int) -> None:
        self.cap, self.used, self.held = cap, 0, 0

    @property
    def free(self) -> int:
        return max(0, self.cap - self.used - self.held)


class Account:
    def __init__(self, granted: int, unlimited: bool) -> None:
        self.granted, self.used, self.held, self.unlimited = granted, 0, 0, unlimited
        self.open = 0
        self.requests, self.tokens = Bucket(8), Bucket(200)
        self.users = {name: Share(cap) for name, cap in CAPS.items()}

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
            "shared": Account(150, False),
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
        try:
            assert verify(self.url) == []
        finally:
            self.resources.close()

    @rule(
        target=holds,
        license_id=st.sampled_from(LICENSES),
        user_id=st.sampled_from([*CAPS, None]),
        wishes=st.lists(st.tuples(amounts, amounts).map(sorted), min_size=1, max_size=5),
        lifetime=st.integers(1, 50),
    )
    def hold(self, license_id: str, user_id: str | None, wishes: list[list[int]], lifetime: int) -> Any:
        expires_at = self.clock.now + lifetime
        orders = [order(license_id, most, least, expires_at=expires_at) for least, most in wishes]
        if license_id == "shared":
            cap = None if user_id is None else CAPS[user_id]
            orders = [
                replace(wish, limits=LIMITS, tokens=1 + wish.wanted // 2, user_id=user_id, user_cap=cap)
                for wish in orders
            ]

        async def together() -> list[Any]:
            return await asyncio.gather(*map(self.ledger.hold, orders), return_exceptions=True)

        account = self.accounts[license_id]
        taken = []
        for wish, result in zip(orders, self.runner.run(together()), strict=True):
            wait = self.wait(wish)
            if wait:
                assert isinstance(result, RateLimited)
                assert (result.retry_after, result.standing) == (wait, self.standing(wish))
                continue
            amount = wish.wanted if account.unlimited else min(wish.wanted, account.free)
            if amount < wish.minimum:
                assert type(result) is InsufficientCredits and result.standing == self.standing(wish)
                continue
            share = self.share(wish)
            amount = amount if share is None else min(amount, share.free)
            if amount < wish.minimum:
                assert type(result) is AllowanceExhausted and result.standing == self.standing(wish)
                continue
            account.held += amount
            account.open += 1
            if share is not None:
                share.held += amount
            if wish.limits is not None:
                account.requests.pour(1, self.clock.now)
                account.tokens.pour(wish.tokens, self.clock.now)
            assert result == Hold(wish.id, license_id, amount, self.standing(wish))
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
        wish = taken.wish
        said = replace(charge(wish.id, wish.license_id, price), limits=wish.limits, user_cap=wish.user_cap)
        receipt = self.say(self.ledger.settle, said)
        if taken.receipt is None:
            kept = taken.amount if taken.open else 0
            self.end(taken, TOKENS)
            charged = price if account.unlimited else min(price, account.free)
            share = self.share(wish)
            if share is not None:
                charged = min(charged, max(share.free, kept))
                share.used += charged
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

    @rule(seconds=st.integers(1, 40))
    def later(self, seconds: int) -> None:
        self.clock.now += 1_000 * seconds

    @rule(milliseconds=st.integers(1, 30))
    def sweep(self, milliseconds: int) -> None:
        self.clock.now += milliseconds
        leases = Leases(self.url)
        swept = self.runner.run(Sweeper(self.ledger, leases, None, self.clock).sweep())
        leases.close()
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
        shared = self.accounts["shared"]
        assert query(self.url, "SELECT open_holds FROM license WHERE id = 'shared'") == [
            {"open_holds": shared.open}
        ]
        assert shares(self.url).items() <= {n: (s.used, s.held) for n, s in shared.users.items()}.items()
        assert all(share.used + share.held <= share.cap for share in shared.users.values())

    def wait(self, wish: HoldOrder) -> float:
        """Seconds after which its limits let it in; 0 is now."""
        account = self.accounts[wish.license_id]
        if wish.limits is None:
            return 0
        if account.open >= 4:
            return 1
        wait = account.requests.wait(1, self.clock.now) or account.tokens.wait(wish.tokens, self.clock.now)
        return wait / 1_000

    def standing(self, wish: HoldOrder) -> Standing | None:
        account, now = self.accounts[wish.license_id], self.clock.now
        return wish.limits and Standing(account.requests.gauge(now), account.tokens.gauge(now))

    def share(self, wish: HoldOrder) -> Share | None:
        users = self.accounts[wish.license_id].users
        return None if wish.user_id is None else users[wish.user_id]

    def say(self, verb: Any, *words: Any) -> Any:
        async def saying() -> Any:
            return await verb(*words)

        return self.runner.run(saying())

    def end(self, taken: Taken, tokens: int = 0) -> None:
        """`tokens` are what it used."""
        account, wish = self.accounts[taken.wish.license_id], taken.wish
        if wish.limits is not None:
            account.tokens.pour(tokens - wish.tokens * taken.open, self.clock.now)
        if taken.open:
            taken.open = False
            account.held -= taken.amount
            account.open -= 1
            share = self.share(wish)
            if share is not None:
                share.held -= taken.amount


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
