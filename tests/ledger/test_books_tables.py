"""The tables in books/: what is said, what comes of it, and the statements it leaves."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from books_world import verify
from ledger_world import NOW, add_license, audit, charge, ledger_on, order

from quantized.core.errors import Fault
from quantized.ledger.credits import adjust, grant, refund
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.verbs import LedgerMisuse
from quantized.storage.statements import (
    LicenseLine,
    LicenseStatement,
    Period,
    RoleStatement,
    reading_statements,
)

TABLES = {path.stem: path.read_text() for path in sorted(Path(__file__).with_name("books").glob("*.txt"))}


def indented(text: str) -> list[list[str]]:
    """The words of the lines that belong to the table, columns being apart by two spaces or more."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.startswith("    ")]


async def answer(url: str, ledger: GroupCommitLedger, verb: str, who: str, name: str, *amount: str) -> str:
    """What a verb comes to, in the words of the tables."""
    number = int(amount[0]) if amount and amount[0] != "all" else 0
    said = {"reason": name, "actor": "ann", "now_ms": NOW}
    match verb:
        case "hold":
            return f"held {(await ledger.hold(order(who, number, number, hold_id=name))).amount}"
        case "settle":
            receipt = await ledger.settle(charge(name, who, number))
            left = "-" if receipt.remaining is None else receipt.remaining
            return f"paid {receipt.charged}, beyond {receipt.overrun}, left {left}"
        case "release":
            return "ended" if await ledger.expire(name) else "had ended"
        case "grant" | "adjust":
            say = grant if verb == "grant" else adjust
            balance = say(url, entry_id=name, license_id=who, amount=number, **said)  # type: ignore[arg-type]
            return f"balance {'-' if balance is None else balance}"
        case "refund":
            wanted = None if amount[0] == "all" else number
            given = refund(url, entry_id=who, request=name, amount=wanted, **said)  # type: ignore[arg-type]
            return f"given {given.amount}, left {'-' if given.remaining is None else given.remaining}"
    raise AssertionError(f"no verb {verb!r}")


def statement(url: str, account: str) -> Iterator[list[str]]:
    with reading_statements(url) as connection:
        shared = account in ("institution", "revenue", "overrun")
        of = (
            RoleStatement(connection, account, None, Period())  # type: ignore[arg-type]
            if shared
            else LicenseStatement(connection, account, Period())
        )
        balance = of.opening()
        yield ["opening", str(balance)]
        for line in of.lines():
            balance += line.amount
            first = (
                [str(line.seq), line.kind]
                if isinstance(line, LicenseLine)
                else [line.kind, str(line.entries)]
            )
            yield [*first, str(line.amount), str(balance)]
        yield ["closing", str(balance)]


@pytest.mark.parametrize("name", TABLES)
async def test_the_books_are_as_the_table_says(url: str, name: str) -> None:
    said, *statements = TABLES[name].split("Statement of ")
    async with ledger_on(url) as ledger:
        for words in indented(said):
            if words[0] == "license":
                add_license(url, words[1], unlimited=words[2] == "unlimited")
                continue
            *verb, expected = words
            try:
                came = await answer(url, ledger, *verb)
            except (LedgerMisuse, Fault) as refusal:
                came = f"refused: {refusal}"
            assert came == expected, words
    for text in statements:
        account = text.partition("\n")[0]
        assert list(statement(url, account)) == indented(text), account
    audit(url)
    assert verify(url) == []
    assert statements
