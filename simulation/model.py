"""What verbs ought to come to, said again in as few words as possible and without a line of the ledger's."""

from typing import Any, Self

from quantized.core.ports import Charge, Hold, HoldOrder, Receipt
from quantized.ledger.rules import Verb
from simulation.books import Books

Outcome = tuple[Any, ...]
"""("held", amount), ("receipt", charged, overrun, remaining), ("released", whether), ("refused", why)."""


def outcome(result: Any) -> Outcome:
    """A result of the ledger's in the words of the model."""
    match result:
        case Hold():
            return ("held", result.amount)
        case Receipt():
            return ("receipt", result.charged, result.overrun, result.remaining)
        case bool():
            return ("released", result)
        case _:
            return ("refused", type(result).__name__)


class Account:
    def __init__(self, unlimited: bool) -> None:
        self.unlimited = unlimited
        self.active = True
        self.granted = self.used = self.held = 0

    @property
    def free(self) -> int:
        return self.granted - self.used - self.held

    @property
    def balance(self) -> int | None:
        return None if self.unlimited else self.granted - self.used


class Life:
    """Of one hold."""

    def __init__(self, license_id: str, amount: int) -> None:
        self.license_id, self.amount = license_id, amount
        self.state = "open"
        self.receipt: Outcome | None = None
        self.refunded = 0


class Model:
    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.lives: dict[str, Life] = {}
        self.said: dict[str, tuple[Any, ...]] = {}
        """What an operator's entries said, and came to, by their ids."""

    @classmethod
    def of(cls, books: Books) -> Self:
        """The model that these rows leave open."""
        model = cls()
        for row in books.licenses.values():
            account = model.accounts[row["id"]] = Account(bool(row["unlimited"]))
            account.active = bool(row["active"])
            account.granted, account.used, account.held = books.sums(row["id"])
        for row in books.holds.values():
            life = model.lives[row["id"]] = Life(row["license_id"], row["amount"])
            life.state = row["state"]
            receipt = books.receipt(row["id"])
            life.receipt = None if receipt is None else ("receipt", *receipt)
        for entry in (entry for entries in books.entries.values() for entry in entries):
            unlimited = model.accounts[entry["license_id"]].unlimited
            balance = None if unlimited else entry["balance_after"]
            if entry["kind"] == "refund":
                model.lives[entry["hold_id"]].refunded += entry["amount"]
                model.said[entry["id"]] = ("refunded", entry["amount"], balance)
            elif entry["id"] is not None:
                model.said[entry["id"]] = ("balance", balance)
        return model

    def expect(self, verb: Verb) -> Outcome:
        match verb:
            case HoldOrder():
                return self._hold(verb)
            case Charge():
                return self._settle(verb)
            case _:
                life = self.lives.get(verb.hold_id)
                if life is None:
                    return ("refused", "UnknownHold")
                if life.state != "open":
                    return ("released", False)
                self._end(life, "released")
                return ("released", True)

    def adjust(self, entry_id: str, license_id: str, amount: int) -> Outcome:
        if entry_id not in self.said:
            account = self.accounts[license_id]
            if amount < 0 and not account.unlimited and account.free + amount < 0:
                return ("refused", "InsufficientCredits")
            account.granted += amount
            self.said[entry_id] = ("balance", account.balance)
        return self.said[entry_id]

    def refund(self, entry_id: str, hold_id: str, amount: int | None) -> Outcome:
        if entry_id not in self.said:
            life = self.lives[hold_id]
            if life.receipt is None:
                return ("refused", "LedgerMisuse")
            left = life.receipt[1] - life.refunded
            given = left if amount is None else amount
            if not 0 < given <= left:
                return ("refused", "LedgerMisuse")
            life.refunded += given
            account = self.accounts[life.license_id]
            account.used -= given
            self.said[entry_id] = ("refunded", given, account.balance)
        return self.said[entry_id]

    def _hold(self, order: HoldOrder) -> Outcome:
        life = self.lives.get(order.id)
        if life is not None:
            if life.license_id != order.license_id:
                return ("refused", "LedgerMisuse")
            return ("held", life.amount) if life.state == "open" else ("refused", "HoldEnded")
        account = self.accounts[order.license_id]
        if not account.active:
            return ("refused", "Unauthenticated")
        amount = order.wanted if account.unlimited else min(order.wanted, account.free)
        if amount < order.minimum:
            return ("refused", "InsufficientCredits")
        account.held += amount
        self.lives[order.id] = Life(order.license_id, amount)
        return ("held", amount)

    def _settle(self, charge: Charge) -> Outcome:
        life = self.lives.get(charge.hold_id)
        if life is None:
            return ("refused", "UnknownHold")
        if life.receipt is None:
            if life.license_id != charge.license_id:
                return ("refused", "LedgerMisuse")
            if life.state == "open":
                self._end(life, "settled")
            account = self.accounts[life.license_id]
            charged = charge.price if account.unlimited else min(charge.price, account.free)
            account.used += charged
            life.receipt = ("receipt", charged, charge.price - charged, account.balance)
        return life.receipt

    def _end(self, life: Life, state: str) -> None:
        life.state = state
        self.accounts[life.license_id].held -= life.amount
