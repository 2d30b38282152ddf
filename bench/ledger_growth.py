"""How the ledger's reads and writes fare as its books grow: `python -m bench.ledger_growth`.

For each size a scratch database is filled with that many charges of one licence (the worst case: nothing
spreads), each with its hold, its request record and its place in the chain; then the real ledger works on it.
`--quick` fills with random bytes for hashes, by the database alone, and leaves the audit out. The databases
are removed afterwards.
"""

import argparse
import asyncio
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

from quantized.clock import SystemClock
from quantized.core.ports import Charge, HoldOrder, Receipt
from quantized.core.usage import Usage
from quantized.ledger.chain import GENESIS, entry_hash, record_hash
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.keys import SqlKeyStore
from quantized.storage.migrate import migrate
from quantized.storage.records import ENTRY_COLUMNS, USAGE_COLUMNS, settled
from quantized.storage.statements import LicenseStatement, Period, reading_statements
from quantized.storage.stores import ledger_store

LICENSE = "licence"
START = 1_700_000_000_000
STEP_MS = 100
GRANTED = 10**15
PRICE = 70
HOLD_COLUMNS = (
    "id", "license_id", "amount", "state", "taken_at", "expires_at", "ended_at", "request_id", "key_id",
    "provider", "model",
)  # fmt: skip
_BATCH = 10_000


def charge_of(number: int, moment: int) -> Charge:
    digits = f"{moment:012x}{number:018x}"
    return Charge(
        hold_id=f"hold-{digits}",
        request_id=f"req-{digits}",
        license_id=LICENSE,
        key_id="key",
        user_id=None,
        surface="/v1/chat/completions",
        provider="demo",
        model="quantized/demo",
        upstream_id=f"gen-{digits}",
        usage=Usage(input=100, output=50),
        price=PRICE,
        estimated=False,
        provider_cost=None,
        outcome="completed",
        started_at=moment - 50,
        first_byte_ms=20,
        duration_ms=50,
    )


def rows(entries: int) -> Iterator[tuple[tuple[object, ...], tuple[object, ...], tuple[object, ...]]]:
    """(hold, record, entry) of each charge; before them a grant, which has only the entry."""
    first = (
        LICENSE,
        1,
        "g",
        "grant",
        "institution",
        "license",
        GRANTED,
        GRANTED,
        None,
        None,
        "",
        "",
        False,
        START,
    )
    head = entry_hash(GENESIS, first, None)
    yield (), (), (*first, None, head)
    for seq in range(2, entries + 1):
        moment = START + seq * STEP_MS
        charge = charge_of(seq, moment)
        balance = GRANTED - PRICE * (seq - 1)
        record = settled(charge, Receipt(PRICE, 0, balance), moment).record
        sealed = record_hash(record)
        columns = (
            LICENSE, seq, None, "charge", "license", "revenue", PRICE, balance, charge.hold_id,
            charge.request_id, None, None, False, moment,
        )  # fmt: skip
        head = entry_hash(head, columns, sealed)
        hold = (
            charge.hold_id, LICENSE, PRICE, "settled", moment - 50, moment + 600_000, moment,
            charge.request_id, "key", "demo", "quantized/demo",
        )  # fmt: skip
        yield hold, record, (*columns, sealed, head)


def fill(path: Path, entries: int, quick: bool) -> None:
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
        connection.execute("INSERT INTO institution VALUES ('i', 'i', 'I', 0)")
        connection.execute(
            "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
            " VALUES ('t', 'i', 't', 'T', 0, 0)"
        )
        connection.execute(
            "INSERT INTO license (id, license_type_id, unique_id, name, created_at)"
            " VALUES (?, 't', 'l', 'L', 0)",
            (LICENSE,),
        )
        if quick:
            insert_by_sql(connection, entries)
        else:
            insert_chained(connection, entries)
        connection.execute(
            "UPDATE license SET granted = ?, used = ?, entries = ?,"
            " head = (SELECT hash FROM ledger_entry WHERE license_id = ? AND seq = ?)",
            (GRANTED, PRICE * (entries - 1), entries, LICENSE, entries),
        )
        connection.execute("COMMIT")


def insert_chained(connection: sqlite3.Connection, entries: int) -> None:
    tables = {"hold": HOLD_COLUMNS, "usage_record": USAGE_COLUMNS, "ledger_entry": ENTRY_COLUMNS}
    inserts = [
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        for table, columns in tables.items()
    ]
    batches: list[list[tuple[object, ...]]] = [[], [], []]
    for rows_of_one in rows(entries):
        for batch, row in zip(batches, rows_of_one, strict=True):
            if row:
                batch.append(row)
        if len(batches[-1]) == _BATCH or rows_of_one[-1][1] == entries:
            for insert, batch in zip(inserts, batches, strict=True):
                connection.executemany(insert, batch)
                batch.clear()


def insert_by_sql(connection: sqlite3.Connection, entries: int) -> None:
    more = f"SELECT i + 1 FROM n WHERE i < {entries}"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 2 WHERE {entries} > 1 UNION ALL {more})"
    moment = f"{START} + i * {STEP_MS}"
    digits = f"printf('%012x%018x', {moment}, i)"
    of_hold = {
        "id": f"'hold-' || {digits}", "license_id": f"'{LICENSE}'", "amount": PRICE, "state": "'settled'",
        "taken_at": moment, "expires_at": moment, "ended_at": moment, "request_id": f"'req-' || {digits}",
        "key_id": "'key'", "provider": "'demo'", "model": "'quantized/demo'",
    }  # fmt: skip
    of_record = {
        **dict.fromkeys(USAGE_COLUMNS, 0), **{name: of_hold[name] for name in HOLD_COLUMNS[-4:]},
        "hold_id": of_hold["id"], "license_id": of_hold["license_id"], "user_id": "NULL", "surface": "'chat'",
        "upstream_id": f"'gen-' || {digits}", "price": PRICE, "charged": PRICE, "outcome": "'completed'",
        "created_at": moment,
    }  # fmt: skip
    of_entry = {
        **dict.fromkeys(ENTRY_COLUMNS, "NULL"), "license_id": of_hold["license_id"], "seq": "i",
        "kind": "'charge'", "debit": "'license'", "credit": "'revenue'", "amount": PRICE,
        "balance_after": f"{GRANTED} - (i - 1) * {PRICE}", "hold_id": of_hold["id"],
        "request_id": of_hold["request_id"], "estimated": 0, "created_at": moment,
        "record_hash": "randomblob(32)", "hash": "randomblob(32)",
    }  # fmt: skip
    first = next(rows(1))[-1]
    connection.execute(f"INSERT INTO ledger_entry VALUES ({', '.join('?' * len(first))})", first)
    for table, values in (("hold", of_hold), ("usage_record", of_record), ("ledger_entry", of_entry)):
        names, chosen = ", ".join(values), ", ".join(map(str, values.values()))
        connection.execute(f"INSERT INTO {table} ({names}) {numbers} SELECT {chosen} FROM n")


async def p50(rounds: int, say: Callable[[int], Awaitable[object]]) -> float:
    """Microseconds."""
    times = []
    for number in range(rounds):
        before = time.perf_counter()
        await say(number)
        times.append(time.perf_counter() - before)
    return statistics.median(times) * 1e6


async def measure(url: str, entries: int, rounds: int) -> dict[str, float]:
    clock = SystemClock()
    ledger = GroupCommitLedger(ledger_store(url), clock)
    keys = SqlKeyStore(url)
    now = clock.now_ms()
    charges = [charge_of(number, now) for number in range(rounds)]

    def hold(number: int) -> Awaitable[object]:
        charge = charges[number]
        order = HoldOrder(
            charge.hold_id,
            LICENSE,
            100,
            1,
            now,
            now + 600_000,
            charge.request_id,
            "key",
            "demo",
            charge.model,
        )
        return ledger.hold(order)

    figures = {
        "hold, µs": await p50(rounds, hold),
        "settle, µs": await p50(rounds, lambda number: ledger.settle(charges[number])),
        "licence read, µs": await p50(rounds, lambda _: keys.read_license(LICENSE)),
    }
    middle = START + entries // 2 * STEP_MS
    with reading_statements(url) as connection:

        async def page(_: int) -> None:
            statement = LicenseStatement(connection, LICENSE, Period(middle, middle + 100 * STEP_MS))
            statement.opening()
            list(statement.lines())

        figures["statement of 100 entries, µs"] = await p50(50, page)
    await ledger.close()
    keys.close()
    return figures


def verify(url: str) -> dict[str, float]:
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from quantized.cli.main import main; main()", "ledger", "verify"],
        env={**os.environ, "QUANTIZED_DATABASE_URL": url},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    # The largest of all children so far, and sizes grow.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"verify, s": time.perf_counter() - before, "verify, peak MB": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[1, 10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="Random hashes, and no audit of them.")
    chosen = parser.parse_args()
    for entries in chosen.sizes:
        with tempfile.TemporaryDirectory(prefix="quantized-growth-") as folder:
            path = Path(folder) / "ledger.db"
            before = time.perf_counter()
            fill(path, entries, chosen.quick)
            figures = {"filled, s": time.perf_counter() - before, "file, MB": path.stat().st_size / 2**20}
            if not chosen.quick:
                figures |= verify(f"sqlite:///{path}")
            figures |= asyncio.run(measure(f"sqlite:///{path}", entries, chosen.rounds))
            told = "  ".join(f"{name} {value:,.1f}" for name, value in figures.items())
            print(f"{entries:>12,} entries: {told}", flush=True)


if __name__ == "__main__":
    main()
