"""Grants, corrections, refunds and deactivations, from outside every gateway."""

import asyncio
from typing import TYPE_CHECKING

from quantized.core.errors import InsufficientCredits
from quantized.ledger import credits as giving
from quantized.ledger.verbs import LedgerMisuse
from simulation.books import require
from simulation.model import Account, Outcome

if TYPE_CHECKING:
    from simulation.world import World


class Operator:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random
        self._number = 0

    def found(self, kinds: list[str]) -> None:
        self._world.auditor.books.connection.execute("INSERT INTO institution VALUES ('i', 'i', 'I', 0)")
        self._world.auditor.books.connection.execute(
            "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
            " VALUES ('t', 'i', 't', 'T', 0, 0)"
        )
        for number, kind in enumerate(kinds):
            self._add_license(f"{kind}-{number}", unlimited=kind == "unlimited")
        self._world.secured()
        for number, kind in enumerate(kinds):
            balance = {"small": 150, "large": 5_000}.get(kind)
            if balance is not None:
                self._adjust("first", f"{kind}-{number}", balance)

    async def work(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._world.plan.between_grants))
            license_id = self._random.choice(list(self._world.auditor.model.accounts))
            match self._random.randrange(6):
                case 0:
                    self._switch(license_id)
                case 1 | 2:
                    self._refund()
                case 3:
                    self._adjust("adjustment", license_id, -self._random.randint(1, 100))
                case 4:
                    self._adjust("adjustment", license_id, self._random.randint(1, 100))
                case _:
                    self._adjust("grant", license_id, self._random.randint(1, 200))

    def _add_license(self, license_id: str, *, unlimited: bool) -> None:
        self._world.auditor.model.accounts[license_id] = Account(unlimited)
        self._world.auditor.books.connection.execute(
            "INSERT INTO license (id, license_type_id, unique_id, name, unlimited, active, created_at)"
            " VALUES (?, 't', ?, 'L', ?, TRUE, 0)",
            (license_id, license_id, unlimited),
        )

    def _switch(self, license_id: str) -> None:
        account = self._world.auditor.model.accounts[license_id]
        account.active = not account.active
        self._world.auditor.books.connection.execute(
            "UPDATE license SET active = ? WHERE id = ?", (account.active, license_id)
        )
        self._world.secured()
        self._world.trace(self._world.home, "switches", license_id, "on" if account.active else "off")

    def _adjust(self, kind: str, license_id: str, amount: int) -> None:
        self._number += 1
        entry_id = f"{kind}-{self._number}"
        give = giving.adjust if kind == "adjustment" else giving.grant
        for _ in range(self._times()):
            expected = self._world.auditor.model.adjust(entry_id, license_id, amount)
            found: Outcome
            try:
                found = ("balance", give(
                    self._world.url, entry_id=entry_id, license_id=license_id, amount=amount,
                    reason="because", actor="operator", now_ms=self._world.now_ms(),
                ))  # fmt: skip
            except (InsufficientCredits, LedgerMisuse) as refusal:
                found = ("refused", type(refusal).__name__)
            self._world.secured()
            self._world.trace(self._world.home, kind, license_id, amount, found)
            require(found == expected, "an operator is told what came of it", entry_id, found, expected)

    def _refund(self) -> None:
        charged = [
            hold_id for hold_id, life in self._world.auditor.model.lives.items() if life.receipt is not None
        ]
        if not charged:
            return
        self._number += 1
        entry_id, hold_id = f"refund-{self._number}", self._random.choice(charged)
        amount = self._random.choice([None, 1, 10])
        for _ in range(self._times()):
            expected = self._world.auditor.model.refund(entry_id, hold_id, amount)
            found: Outcome
            try:
                refunded = giving.refund(
                    self._world.url, entry_id=entry_id, request=hold_id, amount=amount,
                    reason="because", actor="operator", now_ms=self._world.now_ms(),
                )  # fmt: skip
                found = ("refunded", refunded.amount, refunded.remaining)
            except LedgerMisuse as refusal:
                found = ("refused", type(refusal).__name__)
            self._world.secured()
            self._world.trace(self._world.home, "refund", hold_id, amount, found)
            require(found == expected, "an operator is told what came of it", entry_id, found, expected)

    def _times(self) -> int:
        return self._random.choice([1, 1, 1, 2, 3])
