"""Whatever is said in whatever batches: the auditor finds nothing, and statements end at the balance."""

import itertools
from contextlib import closing
from typing import Any

from books_world import verify
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_world import NOW, add_license, charge, order
from plain_sql import rows

from quantized.core.errors import Fault
from quantized.core.ports import Charge, HoldOrder
from quantized.ledger.rules import Book
from quantized.ledger.verbs import Adjustment, LedgerMisuse, Refund, Release
from quantized.storage.records import Changes, LedgerStore, Needs, Rows
from quantized.storage.statements import LicenseStatement, Period, reading_statements
from quantized.storage.stores import ledger_store

_examples = itertools.count(1)
_names = st.integers(0, 4)
_amounts = st.integers(0, 60)
_verbs = st.one_of(
    st.tuples(st.just("hold"), _names, _amounts),
    st.tuples(st.just("settle"), _names, _amounts),
    st.tuples(st.just("release"), _names, st.just(0)),
    st.tuples(st.just("grant"), _names, _amounts),
    st.tuples(st.just("adjust"), _names, st.integers(-40, 40)),
    st.tuples(st.just("refund"), _names, st.one_of(st.none(), _amounts)),
)
_batches = st.lists(st.lists(_verbs, min_size=1, max_size=6), max_size=8)
Said = HoldOrder | Charge | Release | Adjustment | Refund


def spoken(owner: str, verb: tuple[str, int, Any]) -> Said:
    name, number, amount = verb
    hold_id = f"{owner}-{number}"
    match name:
        case "hold":
            return order(owner, amount, 0, hold_id=hold_id)
        case "settle":
            return charge(hold_id, owner, amount)
        case "release":
            return Release(hold_id, "cut")
        case "refund":
            return Refund(f"{owner}-r{number}-{amount}", hold_id, f"req-of-{hold_id}", amount, "sorry", "ann")
    kind = "grant" if name == "grant" else "adjustment"
    return Adjustment(f"{owner}-{kind}-{number}-{amount}", owner, kind, amount, "term", "ann")  # type: ignore[arg-type]


def say(book: Book, said: Said) -> None:
    match said:
        case HoldOrder():
            book.hold(said)
        case Charge():
            book.settle(said)
        case Release():
            book.release(said)
        case Adjustment():
            book.adjust(said)
        case Refund():
            book.refund(said)


def commit(store: LedgerStore, owner: str, batch: list[Said]) -> None:
    def decide(found: Rows) -> Changes:
        book = Book(found, NOW)
        for said in batch:
            try:
                say(book, said)
            except (LedgerMisuse, Fault):
                continue
        return book.changes

    holds = {said.id if isinstance(said, HoldOrder) else getattr(said, "hold_id", "") for said in batch}
    named = [said.id for said in batch if isinstance(said, Adjustment | Refund)]
    needs = Needs(hold_ids=sorted(holds), license_ids=[owner], entry_ids=named, refunds_of=sorted(holds))
    store.transact(needs, decide, now_ms=NOW, durable=False)


def test_after_any_verbs_in_any_batches_nothing_is_wrong(database_url: str) -> None:
    with closing(ledger_store(database_url)) as store:

        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
        @given(unlimited=st.booleans(), batches=_batches)
        def live(unlimited: bool, batches: list[list[tuple[str, int, Any]]]) -> None:
            owner = add_license(database_url, f"l{next(_examples)}", unlimited=unlimited)
            for batch in batches:
                commit(store, owner, [spoken(owner, verb) for verb in batch])
            assert verify(database_url, owner) == []
            ((balance,),) = rows(database_url, "SELECT granted - used FROM license WHERE id = ?", owner)
            with reading_statements(database_url) as connection:
                of = LicenseStatement(connection, owner, Period())
                assert of.opening() + sum(line.amount for line in of.lines()) == balance

        live()
    assert verify(database_url) == []
