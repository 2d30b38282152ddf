import subprocess
import sys
from pathlib import Path

import pytest
from ledger_world import add_license, audit, ledger_on, order, query

from quantized.core.errors import InsufficientCredits, LedgerUnavailable
from quantized.ledger.credits import adjust, grant
from quantized.ledger.verbs import LedgerMisuse


def give(url: str, entry_id: str, amount: int, license_id: str = "l") -> int | None:
    return grant(
        url, entry_id=entry_id, license_id=license_id, amount=amount, reason="term", actor="ann", now_ms=9
    )


def correct(url: str, entry_id: str, amount: int) -> int | None:
    return adjust(url, entry_id=entry_id, license_id="l", amount=amount, reason="slip", actor="bob", now_ms=9)


def test_a_grant_counts_once(url: str) -> None:
    add_license(url, "l")
    assert give(url, "g1", 70) == 70
    assert give(url, "g2", 30) == 100
    assert give(url, "g1", 70) == 70
    assert audit(url) == {"l": (100, 0, 0)}
    (first, _) = query(url, "SELECT * FROM ledger_entry ORDER BY seq")
    assert (first["id"], first["kind"], first["reason"], first["actor"]) == ("g1", "grant", "term", "ann")


@pytest.mark.parametrize("amount", [0, -5, 2**61])
def test_a_grant_is_an_amount_above_nothing(url: str, amount: int) -> None:
    add_license(url, "l")
    with pytest.raises(LedgerMisuse):
        give(url, "g", amount)


def test_a_grant_needs_a_licence_and_an_id_of_its_own(url: str) -> None:
    add_license(url, "l")
    add_license(url, "m")
    give(url, "g", 5)
    for amount, license_id in ((6, "l"), (5, "m"), (5, "nobody")):
        with pytest.raises(LedgerMisuse):
            give(url, "g" if license_id != "nobody" else "h", amount, license_id)
    assert audit(url) == {"l": (5, 0, 0), "m": (0, 0, 0)}


def test_a_grant_to_an_unlimited_licence_has_no_balance(url: str) -> None:
    add_license(url, "l", unlimited=True)
    assert give(url, "g", 5) is None


async def test_a_correction_never_takes_what_is_held(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        await ledger.hold(order("l", 40))
        with pytest.raises(InsufficientCredits):
            correct(url, "a1", -61)
        assert correct(url, "a2", -60) == 40
        assert correct(url, "a2", -60) == 40
        with pytest.raises(InsufficientCredits):
            await ledger.hold(order("l", 1))
        assert correct(url, "a3", 5) == 45
        assert (await ledger.hold(order("l", 9))).amount == 5
    assert audit(url) == {"l": (45, 0, 45)}


async def test_a_grant_from_another_process_is_there_for_the_next_hold(url: str) -> None:
    add_license(url, "l")
    program = (
        "import sys; from quantized.ledger.credits import grant;"
        "print(grant(sys.argv[1], entry_id='g', license_id='l', amount=50, reason='', actor='', now_ms=1))"
    )
    async with ledger_on(url) as ledger:
        with pytest.raises(InsufficientCredits):
            await ledger.hold(order("l", 50))
        done = subprocess.run(  # noqa: ASYNC221  the loop has nothing else to do
            [sys.executable, "-c", program, url], check=True, capture_output=True, text=True
        )
        assert done.stdout == "50\n"
        assert (await ledger.hold(order("l", 50))).amount == 50


def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable):
        give(f"sqlite:///{tmp_path}/missing.db", "g", 5)
    assert list(tmp_path.iterdir()) == []
