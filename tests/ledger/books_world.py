"""A small set of books in which everything has happened once, and the auditor on them."""

from collections.abc import Iterator
from contextlib import contextmanager

from ledger_world import NOW, add_license, charge, ledger_on, order
from sqlalchemy import Connection

from quantized.ledger.credits import adjust, refund
from quantized.ledger.findings import Finding, Tally
from quantized.ledger.verify import Auditor
from quantized.storage.books import BooksReader, read_books
from quantized.storage.engine import open_engine


async def write_books(url: str) -> None:
    """Three licences: `l` with every kind of entry and hold, `u` unlimited, `n` without entries."""
    add_license(url, "l", 1_000)
    add_license(url, "u", unlimited=True)
    add_license(url, "n")
    adjust(url, entry_id="up", license_id="l", amount=50, reason="slip", actor="ann", now_ms=NOW)
    adjust(url, entry_id="down", license_id="l", amount=-30, reason="slip", actor="bob", now_ms=NOW)
    async with ledger_on(url) as ledger:
        for hold_id, price in (("plain", 100), ("free", 0), ("other", 40)):
            await ledger.hold(order("l", price, 0, hold_id=hold_id))
            await ledger.settle(charge(hold_id, "l", price, user_id='Zoë "Z"\n'))
        for hold_id in ("gone", "late"):
            await ledger.hold(order("l", 10, hold_id=hold_id))
            await ledger.release(hold_id, "cut")
        await ledger.settle(charge("late", "l", 7))
        for hold_id in ("mine", "yours"):
            await ledger.hold(order("u", 5, hold_id=hold_id))
            await ledger.settle(charge(hold_id, "u", 5))
        give_back(url, "part", "plain", 60)
        give_back(url, "rest", "plain", None)
        await ledger.hold(order("l", 100, hold_id="much"))
        await ledger.settle(charge("much", "l", 5_000))
        give_back(url, "some", "other", 30)
        await ledger.hold(order("l", 20, hold_id="open"))


def give_back(url: str, entry_id: str, hold_id: str, amount: int | None) -> int:
    given = refund(
        url, entry_id=entry_id, request=hold_id, amount=amount, reason="sorry", actor="ann", now_ms=NOW
    )
    return given.amount


def verify(url: str, only: str | None = None) -> list[Finding]:
    return verified(url, only)[0]


def verified(url: str, only: str | None = None) -> tuple[list[Finding], Tally]:
    with read_books(url, only) as books:
        auditor = Auditor(books, lambda _: None)
        return list(auditor.findings()), auditor.tally


def findings_in(connection: Connection, only: str | None = None) -> list[Finding]:
    """What an audit in this transaction finds."""
    return list(Auditor(BooksReader(connection, only), lambda _: None).findings())


def any_finding_in(connection: Connection) -> bool:
    return any(True for _ in Auditor(BooksReader(connection), lambda _: None).findings())


@contextmanager
def tampering(url: str) -> Iterator[Connection]:
    """A transaction that nothing keeps from anything, and that is rolled back."""
    with open_engine(url).connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        else:
            driver.execute("PRAGMA foreign_keys = OFF")
            driver.execute("PRAGMA ignore_check_constraints = ON")
            for change in ("update", "delete"):
                connection.exec_driver_sql(f"DROP TRIGGER ledger_entry_refuses_{change}")
        yield connection
        connection.rollback()
