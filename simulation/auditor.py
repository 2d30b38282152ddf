"""Says after every step whether the books are right, and whether they are what everybody was told."""

import sqlite3
from pathlib import Path
from typing import Any

from quantized.core.ports import Hold, HoldOrder, Receipt
from quantized.ledger.verbs import Verb
from simulation.books import Books, Row, require
from simulation.model import Model, Outcome, outcome


def hold_id_of(verb: Verb) -> str:
    return verb.id if isinstance(verb, HoldOrder) else verb.hold_id


class Auditor:
    def __init__(self, path: Path) -> None:
        self.books = Books(path)
        self.model = Model()
        self.swept = ["expired"]
        """Why a hold may end without its request."""
        self._receipts: dict[str, Receipt] = {}

    def committed(self, verbs: list[Verb]) -> list[Outcome]:
        """A transaction with these verbs has just been written: what they ought to have come to."""
        expected = [self.model.expect(verb) for verb in verbs]
        self.look()
        for verb in verbs:
            self._compare_hold(hold_id_of(verb))  # also what should have been written and was not
        return expected

    def look(self) -> None:
        licenses, holds = self.books.look()
        for hold_id in holds:
            self._compare_hold(hold_id)
        users = self.books.users() if holds or licenses else {}
        for (license_id, user_id), found in users.items():
            share = self.model.accounts[license_id].users.get(user_id)
            modelled = (share.used, share.held) if share else (0, 0)
            require(
                found == modelled, "a user's share is what was said", license_id, user_id, found, modelled
            )
        for license_id in licenses:
            account = self.model.accounts[license_id]
            said = (account.granted, account.used, account.held)
            written = self.books.sums(license_id)
            require(written == said, "what was said is what was written", license_id, written, said)

    def answered(self, verbs: list[Verb], expected: list[Outcome], results: list[Any]) -> None:
        """The ledger took these verbs for this."""
        found = list(map(outcome, results))
        require(found == expected, "the ledger answers what came of it", verbs, found, expected)

    def go_back_to(self, earlier: sqlite3.Connection) -> None:
        """The machine comes up with what was on its disk. Who was told a receipt still has it."""
        self.books.go_back_to(earlier)
        self.model = Model.of(self.books)
        for hold_id, receipt in self._receipts.items():
            self.told_receipt(hold_id, receipt)

    def told_held(self, order: HoldOrder, hold: Hold) -> None:
        """An upstream call begins now."""
        row = self.still_held(order)
        require(row["amount"] == hold.amount, "a hold is as large as was told", hold, row)
        require(order.minimum <= hold.amount <= order.wanted, "a hold is within what was wanted", order, hold)

    def still_held(self, order: HoldOrder) -> Row:
        """An upstream call is under way."""
        row = self.books.holds.get(order.id)
        require(row is not None, "no upstream call without a hold", order)
        assert row is not None
        swept = row["state"] == "released" and row["reason"] in self.swept
        require(row["state"] == "open" or swept, "nobody ends a hold whose request goes on", row)
        return row

    def told_receipt(self, hold_id: str, receipt: Receipt) -> None:
        written = self.books.receipt(hold_id)
        said = (receipt.charged, receipt.overrun, receipt.remaining)
        require(said == written, "a receipt is what is in the books", hold_id, said, written)
        before = self._receipts.setdefault(hold_id, receipt)
        require(before == receipt, "nothing is told twice differently", hold_id, before, receipt)

    def at_rest(self) -> None:
        """Nobody is doing anything."""
        self.look()
        self.books.check_all()
        for hold_id, receipt in self._receipts.items():
            self.told_receipt(hold_id, receipt)
        for license_id, account in self.model.accounts.items():
            found, modelled = self.books.sums(license_id), (account.granted, account.used, account.held)
            require(found == modelled, "what was said is what was written", license_id, found, modelled)

    def close(self) -> None:
        self.books.connection.close()

    def _compare_hold(self, hold_id: str) -> None:
        row, life = self.books.holds.get(hold_id), self.model.lives.get(hold_id)
        if row is None or life is None:
            require(row is None and life is None, "a hold is written when it is taken", hold_id, row)
            return
        found = (row["license_id"], row["amount"], row["state"])
        modelled = (life.license_id, life.amount, life.state)
        require(found == modelled, "a hold is what was said", hold_id, found, modelled)
        receipt = self.books.receipt(hold_id)
        expected = life.receipt[1:] if life.receipt else None
        require(receipt == expected, "a receipt is what was said", hold_id, receipt, expected)
