"""What verbs ought to come to, said again in as few words as possible and without a line of the ledger's."""

from typing import Any, Self

from quantized.core.ports import Charge, Hold, HoldOrder, Receipt
from quantized.ledger.verbs import Verb
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
        self.granted = self.used = self.held = self.open = 0
        self.users: dict[str, Share] = {}

    @property
    def free(self) -> int:
        return self.granted - self.used - self.held

    @property
    def balance(self) -> int | None:
        return None if self.unlimited else self.granted - self.used


class Share:
    """Of one user in a licence."""

    def __init__(self) -> None:
        self.used = self.held = 0

    def free(self, cap: int | None) -> int | None:
        return None if cap is None else max(0, cap - self.used - self.held)


class Life:
    """Of one hold."""

    def __init__(self, license_id: str, amount: int, user_id: str | None) -> None:
        self.license_id, self.amount, self.user_id = license_id, amount, user_id
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
            life = model.lives[row["id"]] = Life(row["license_id"], row["amount"], row["user_id"])
            life.state = row["state"]
            receipt = books.receipt(row["id"])
            model.accounts[life.license_id].open += life.state == "open"
            share = model.share(life.license_id, life.user_id)
            if share is not None:
                share.held += life.amount * (life.state == "open")
                share.used += 0 if receipt is None else receipt[0]
            life.receipt = None if receipt is None else ("receipt", *receipt)
        for entry in (entry for entries in books.entries.values() for entry in entries):
            unlimited = model.accounts[entry["license_id"]].unlimited
            balance = None if unlimited else entry["balance_after"]
            if entry["kind"] == "refund":
                life = model.lives[entry["hold_id"]]
                life.refunded += entry["amount"]
                share = model.share(life.license_id, life.user_id)
                if share is not None:
                    share.used -= entry["amount"]
                model.said[entry["id"]] = ("refunded", entry["amount"], balance)
            elif entry["id"] is not None:
                model.said[entry["id"]] = ("balance", balance)
        return model

    def share(self, license_id: str, user_id: str | None) -> Share | None:
        if user_id is None:
            return None
        return self.accounts[license_id].users.setdefault(user_id, Share())

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
            share = self.share(life.license_id, life.user_id)
            if share is not None:
                share.used -= given
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
        if order.limits is not None and account.open >= (order.limits.parallel_requests or 0):
            return ("refused", "RateLimited")
        amount = order.wanted if account.unlimited else min(order.wanted, account.free)
        if amount < order.minimum:
            return ("refused", "InsufficientCredits")
        share = self.share(order.license_id, order.user_id)
        free = None if share is None else share.free(order.user_cap)
        amount = amount if free is None else min(amount, free)
        if amount < order.minimum:
            return ("refused", "AllowanceExhausted")
        account.held += amount
        account.open += 1
        if share is not None:
            share.held += amount
        self.lives[order.id] = Life(order.license_id, amount, order.user_id)
        return ("held", amount)

    def _settle(self, charge: Charge) -> Outcome:
        life = self.lives.get(charge.hold_id)
        if life is None:
            return ("refused", "UnknownHold")
        if life.receipt is None:
            if life.license_id != charge.license_id:
                return ("refused", "LedgerMisuse")
            kept = life.amount if life.state == "open" else 0
            if life.state == "open":
                self._end(life, "settled")
            account = self.accounts[life.license_id]
            charged = charge.price if account.unlimited else min(charge.price, account.free)
            share = self.share(life.license_id, life.user_id)
            if share is not None:
                free = share.free(charge.user_cap)
                charged = charged if free is None else min(charged, max(free, kept))
                share.used += charged
            account.used += charged
            life.receipt = ("receipt", charged, charge.price - charged, account.balance)
        return life.receipt

    def _end(self, life: Life, state: str) -> None:
        life.state = state
        account = self.accounts[life.license_id]
        account.held -= life.amount
        account.open -= 1
        share = self.share(life.license_id, life.user_id)
        if share is not None:
            share.held -= life.amount
