"""`quantized ledger …`, and the commands that correct what is in the books."""

import asyncio
import csv
import io
import json

import pytest
from cli_harness import Run
from plain_sql import plainly

from quantized.clock import SystemClock
from quantized.core.ports import Charge, HoldOrder
from quantized.core.usage import Usage
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.stores import ledger_store

REQUEST = "req-0123"


async def spend(database: str, license_id: str, price: int) -> None:
    """One charged request, and one that nobody settled."""
    ledger = GroupCommitLedger(ledger_store(database), SystemClock())
    said = {"license_id": license_id, "key_id": "k", "provider": "demo", "model": "quantized/demo"}
    times = {"taken_at": 0, "expires_at": 0}
    for digits in ("0123", "4567"):
        await ledger.hold(
            HoldOrder(
                id=f"hold-{digits}", request_id=f"req-{digits}", wanted=price, minimum=0, **times, **said
            )
        )
    charge = Charge(
        hold_id="hold-0123",
        request_id=REQUEST,
        user_id=None,
        surface="chat",
        upstream_id=None,
        usage=Usage(),
        price=price,
        estimated=False,
        provider_cost=None,
        outcome="completed",
        started_at=0,
        first_byte_ms=None,
        duration_ms=0,
        **said,
    )
    await ledger.settle(charge)
    await ledger.expire("hold-4567")
    await ledger.close()


@pytest.fixture
def licence(run: Run, database: str) -> str:
    """A licence `bio` with a million micro-credits, of which a request took 300."""
    run("institution", "create", "uni")
    run("license-type", "create", "uni", "course")
    made: str = run("license", "create", "course", "--unique-id", "bio", "--credits", "1", "--json").json[
        "license_id"
    ]
    asyncio.run(spend(database, made, 300))
    return made


def test_a_request_is_refunded_once_by_its_id(run: Run, licence: str) -> None:
    words = (
        "license",
        "refund",
        REQUEST,
        "--micro",
        "100",
        "--id",
        "r1",
        "--reason",
        "wrong",
        "--actor",
        "ann",
    )
    for _ in range(2):
        refunded = run(*words, "--json").json
        assert (refunded["refunded_micro_credits"], refunded["used_micro_credits"]) == (100, 200)
        assert refunded["entry_id"] == "r1"
    assert (
        run("license", "refund", REQUEST, "--reason", "all of it", "--json").json["used_micro_credits"] == 0
    )
    too_much = run("license", "refund", "hold-0123", "--micro", "1", "--reason", "more")
    assert too_much.status == 1
    assert "0 is left of its charge" in too_much.err
    assert "nothing was charged for 'req-4567'" in run("license", "refund", "req-4567", "--reason", "x").err


def test_a_correction_wants_a_reason_and_knows_its_actor(run: Run, licence: str) -> None:
    assert run("license", "adjust", "bio", "1").status == 2
    assert run("license", "adjust", "bio", "--reason", "slip").status == 2
    up = run("license", "adjust", "bio", "0.5", "--reason", "slip", "--actor", "ann", "--id", "a1", "--json")
    assert up.json["available_micro_credits"] == 1_499_700
    down = run("license", "adjust", "bio", "--micro", "499700", "--take", "--reason", "slip", "--json")
    assert down.json["available_micro_credits"] == 1_000_000
    assert (
        "licence has not that much left"
        in run("license", "adjust", "bio", "2", "--take", "--reason", "x").err
    )
    assert "adjustment" in run("ledger", "show", "bio").out
    assert "a1  slip (ann)" in run("ledger", "show", "bio").out


def test_a_statement_goes_from_an_opening_to_a_closing_balance(run: Run, licence: str) -> None:
    lines = run("ledger", "show", "bio").out.splitlines()
    assert [line.split()[-1] for line in lines[:2]] == ["for", "0"]
    assert lines[-1].split() == ["closing", "0.9997"]
    records = [json.loads(line) for line in run("ledger", "show", licence, "--json").out.splitlines()]
    assert [(r["line"], r.get("amount_micro_credits"), r["balance_micro_credits"]) for r in records] == [
        ("opening", None, 0),
        ("grant", 1_000_000, 1_000_000),
        ("charge", -300, 999_700),
        ("closing", None, 999_700),
    ]
    assert records[2]["request_id"] == REQUEST
    table = list(csv.DictReader(io.StringIO(run("ledger", "show", "bio", "--csv", "--from", "1h").out)))
    assert [row["line"] for row in table] == ["opening", "grant", "charge", "closing"]
    later = run("ledger", "show", "bio", "--from", "2999-01-01").out.splitlines()
    assert [line.split() for line in later[1:]] == [["opening", "0.9997"], ["closing", "0.9997"]]


def test_shared_accounts_have_a_line_for_each_licence(run: Run, licence: str) -> None:
    for account, kind, closing in (("revenue", "charge", 300), ("institution", "grant", -1_000_000)):
        for words in ((), ("--institution", "uni")):
            _, line, last = run("ledger", "show", account, *words, "--json").out.splitlines()
            assert {"line": kind, "license_id": licence, "unique_id": "bio", "entries": 1}.items() <= (
                json.loads(line).items()
            )
            assert json.loads(last) == {"line": "closing", "balance_micro_credits": closing}
    assert run("ledger", "show", "bio", "--institution", "uni").status == 2
    assert run("ledger", "show", "nobody").status == 1
    assert run("ledger", "show", "bio", "--csv", "--json").status == 2


def test_what_nobody_settled_is_listed_with_all_that_is_known(run: Run, licence: str) -> None:
    (line,) = run("ledger", "unsettled", "--json").out.splitlines()
    known = {"hold_id": "hold-4567", "request_id": "req-4567", "license_id": licence, "reason": "expired"}
    assert known.items() <= json.loads(line).items()
    assert "req-4567" in run("ledger", "unsettled", "--license", "bio", "--since", "1h").out
    assert run("ledger", "unsettled", "--since", "2999-01-01").out == ""


def test_books_that_are_whole_are_said_to_be(run: Run, licence: str) -> None:
    said = run("ledger", "verify")
    assert said.status == 0
    first, *accounts = said.out.splitlines()
    assert first == "1 licences, 2 entries, 1 request records: nothing is wrong"
    assert [line.split() for line in accounts] == [
        ["institution", "-1"], ["license", "0.9997"], ["revenue", "0.0003"], ["overrun", "0"],
    ]  # fmt: skip
    (line,) = run("ledger", "verify", "--license", "bio", "--json").out.splitlines()
    assert json.loads(line)["summary"]["findings"] == 0


def test_books_that_were_changed_are_told_line_by_line(run: Run, licence: str, database: str) -> None:
    with plainly(database) as sql:
        sql("UPDATE usage_record SET model = 'another'")
        sql("UPDATE license SET used = 299")
    said = run("ledger", "verify", "--json")
    assert said.status == 1
    *findings, summary = map(json.loads, said.out.splitlines())
    assert [(f["check"], f.get("column"), f.get("found"), f.get("expected")) for f in findings] == [
        ("record", "record_hash", findings[0]["found"], findings[0]["expected"]),
        ("cache", "used", 299, 300),
        ("hold", "model", "quantized/demo", "another"),
    ]
    assert summary["summary"]["findings"] == 3
    text = run("ledger", "verify")
    assert text.status == 1
    assert f"[license={licence}  column=used  found=299  expected=300]" in text.out


def test_books_that_cannot_be_read_are_another_matter(run: Run) -> None:
    missing = run("ledger", "verify")
    assert missing.status == 2
    assert "there is no database" in missing.err
    assert run("ledger", "verify", "--license", "nobody").status == 2
