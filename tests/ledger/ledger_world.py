"""A database with licences, the verbs said with sensible defaults, and an auditor that trusts only rows."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Raw
from msgspec.structs import replace
from plain_sql import Plain, plainly

from quantized.core.ports import Charge, HoldOrder
from quantized.core.turns import StoredItem, StoredTurn, Turn
from quantized.core.usage import Usage
from quantized.ledger.credits import grant
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.database import Value
from quantized.storage.stores import ledger_store

NOW = 1_700_000_000_000
_numbers = itertools.count(1)


class SetClock:
    """Stands still until it is set."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def now_ms(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now / 1000


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def add_license(
    url: str, license_id: str, balance: int = 0, *, unlimited: bool = False, active: bool = True
) -> str:
    with plainly(url) as sql:
        sql("INSERT INTO institution VALUES ('i', 'i', 'I', 0) ON CONFLICT DO NOTHING")
        sql(
            "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
            " VALUES ('t', 'i', 't', 'T', 0, 0) ON CONFLICT DO NOTHING"
        )
        sql(
            "INSERT INTO license (id, license_type_id, unique_id, name, unlimited, active, created_at)"
            " VALUES (?, 't', ?, 'L', ?, ?, 0)",
            license_id,
            license_id,
            unlimited,
            active,
        )
    if balance:
        grant(
            url,
            entry_id=f"first-{license_id}",
            license_id=license_id,
            amount=balance,
            reason="",
            actor="",
            now_ms=0,
        )
    return license_id


def order(
    license_id: str,
    wanted: int,
    minimum: int = 1,
    *,
    hold_id: str | None = None,
    expires_at: int = NOW + 60_000,
) -> HoldOrder:
    hold_id = hold_id or f"hold-{next(_numbers)}"
    return HoldOrder(
        id=hold_id,
        license_id=license_id,
        wanted=wanted,
        minimum=minimum,
        taken_at=NOW,
        expires_at=expires_at,
        request_id=f"req-of-{hold_id}",
        key_id="key-1",
        provider="demo",
        model="quantized/demo",
    )


def charge(hold_id: str, license_id: str, price: int, *, user_id: str | None = None) -> Charge:
    return Charge(
        hold_id=hold_id,
        request_id=f"req-of-{hold_id}",
        license_id=license_id,
        key_id="key-1",
        user_id=user_id,
        surface="chat",
        provider="demo",
        model="quantized/demo",
        upstream_id="gen-1",
        usage=Usage(input=1, cached_read=2, output=3, reasoning=4, web_searches=5),
        price=price,
        estimated=False,
        provider_cost=7,
        outcome="completed",
        started_at=NOW,
        first_byte_ms=None,
        duration_ms=12,
    )


PATIENT = 20.0
"""Seconds: longer by far than a busy machine and its disk are slow. For whom no patience is to end."""


def storing(said: Charge, size: int = 0, text: str = "") -> Charge:
    """The charge with a turn of so many bytes."""
    shown = Raw(b'{"text":"' + b"x" * size + b'"}')
    turn = Turn(
        id=f"resp-{said.hold_id}",
        previous=None,
        status="completed",
        body=Raw(b"{}"),
        input=(StoredItem(f"in-{said.hold_id}", shown, (), text or None),),
        output=(),
        messages=(),
    )
    return replace(said, turn=StoredTurn(turn, None))


@asynccontextmanager
async def ledger_on(
    url: str,
    clock: SetClock | None = None,
    *,
    busy_seconds: float = PATIENT,
    patience: float = PATIENT,
    **options: Any,
) -> AsyncIterator[GroupCommitLedger]:
    store = ledger_store(url, busy_seconds=busy_seconds)
    ledger = GroupCommitLedger(store, clock or SetClock(), patience=patience, **options)
    try:
        yield ledger
    finally:
        await ledger.close()


def query(url: str, statement: str, *values: Value) -> list[dict[str, Any]]:
    with plainly(url) as sql:
        return sql.named(statement, *values)


def audit(url: str) -> dict[str, tuple[int, int, int]]:
    """Recomputes everything from entries, holds and usage records, and compares it with what is cached.

    Returns (granted, used, held) of each licence. Raises AssertionError.
    """
    with plainly(url) as sql, sql.one_moment():
        return {row["id"]: audit_license(sql, row) for row in sql.named("SELECT * FROM license")}


def audit_license(sql: Plain, row: dict[str, Any]) -> tuple[int, int, int]:
    entries = sql.named("SELECT * FROM ledger_entry WHERE license_id = ? ORDER BY seq", row["id"])
    holds = sql.named("SELECT * FROM hold WHERE license_id = ?", row["id"])
    usage = sql.named("SELECT * FROM usage_record WHERE license_id = ?", row["id"])
    assert [entry["seq"] for entry in entries] == list(range(1, row["entries"] + 1))
    balance, head = 0, bytes(32)
    for entry in entries:
        balance += entry["amount"] * ((entry["credit"] == "license") - (entry["debit"] == "license"))
        assert entry["balance_after"] == balance
        head = sha256(head + canonical({**entry, "record_hash": hexadecimal(entry["record_hash"])})).digest()
        assert entry["hash"] == head
    assert (row["head"] or bytes(32)) == head
    given = ("grant", "adjustment")
    granted = sum(
        e["amount"] * (1 if e["credit"] == "license" else -1) for e in entries if e["kind"] in given
    )
    used = sum(e["amount"] * {"charge": 1, "refund": -1}.get(e["kind"], 0) for e in entries)
    held = sum(hold["amount"] for hold in holds if hold["state"] == "open")
    assert (granted, used, held) == (row["granted"], row["used"], row["held"])
    assert row["unlimited"] or used + held <= granted
    sealed = {e["hold_id"]: e["record_hash"] for e in entries if e["kind"] == "charge"}
    assert sealed == {record["hold_id"]: sha256(canonical(record)).digest() for record in usage}
    charges = sorted((e["hold_id"], e["amount"]) for e in entries if e["kind"] == "charge")
    assert charges == sorted((record["hold_id"], record["charged"]) for record in usage)
    overruns = sorted((e["hold_id"], e["amount"]) for e in entries if e["kind"] == "overrun")
    assert overruns == sorted((r["hold_id"], r["overrun"]) for r in usage if r["overrun"])
    settled = {hold["id"] for hold in holds if hold["state"] == "settled"}
    ended = {hold["id"] for hold in holds if hold["state"] != "open"}
    charged = {record["hold_id"] for record in usage}
    assert settled <= charged <= ended
    assert all((hold["ended_at"] is None) == (hold["state"] == "open") for hold in holds)
    return granted, used, held


def canonical(row: dict[str, Any]) -> bytes:
    """The bytes that are hashed, made here from the words of the manual."""
    said = {**row, "estimated": bool(row["estimated"])}
    said.pop("hash", None)
    return json.dumps(list(said.values()), ensure_ascii=False, separators=(",", ":")).encode()


def hexadecimal(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()


async def until(condition: Callable[[], bool]) -> None:
    """Looks again and again; the test's own timeout is the limit."""
    while not condition():  # noqa: ASYNC110  what is waited for is in the database
        await asyncio.sleep(0.005)
