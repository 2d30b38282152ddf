"""The auditor finds whatever was changed behind the ledger's back, and nothing where nothing was."""

import asyncio
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from books_world import any_finding_in, findings_in, tampering, verified, verify, write_books
from database_copies import Templates
from ledger_world import add_license, audit, charge, ledger_on, order
from sqlalchemy import Column, Connection, LargeBinary, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from quantized.ledger.chain import entry_hash
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.schema import hold, ledger_entry, usage_record
from quantized.storage.schema import license as license_table


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def books(
    request: pytest.FixtureRequest, templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Written once: whatever is done to them is rolled back."""
    with templates.copy(request.param, tmp_path_factory.mktemp("books") / "books.db") as url:
        asyncio.run(write_books(url))
        yield url


def rows(connection: Connection, table: Table) -> list[dict[str, Any]]:
    keys = table.primary_key.columns
    return [dict(row) for row in connection.execute(select(table).order_by(*keys)).mappings()]


def this(table: Table, row: dict[str, Any]) -> Any:
    clause: Any = True
    for column in table.primary_key.columns:
        clause = (column == row[column.name]) & clause
    return clause


def another(column: Column[Any], value: Any) -> Any:
    """A value of the column's type that is not this one."""
    match value:
        case None:
            return (
                b"x" if isinstance(column.type, LargeBinary) else "x" if isinstance(column.type, Text) else 7
            )
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1])


def other_values(column: Column[Any], value: Any) -> list[Any]:
    return [another(column, value), *([None] if column.nullable and value is not None else [])]


def changed(connection: Connection, table: Table, row: dict[str, Any], name: str, value: Any) -> bool:
    """Whether the database takes the change."""
    try:
        with connection.begin_nested():
            connection.execute(update(table).where(this(table, row)).values({name: value}))
    except IntegrityError:
        return False
    return True


def nothing(row: dict[str, Any]) -> set[str]:
    return set()


def unseen(
    url: str, table: Table, *, but: Callable[[dict[str, Any]], set[str]] = nothing
) -> list[tuple[str, str, Any]]:
    """The changes of one value that no audit finds, `but` for some columns of a row: (row's id, column, new
    value)."""
    found = []
    with tampering(url) as connection:
        # One database is looked at closely; the other's values are the same in Python.
        sample = slice(None) if connection.dialect.name == "sqlite" else slice(0, None, 4)
        for row in rows(connection, table)[sample]:
            for column in table.columns:
                if column.name in but(row):
                    continue
                for value in other_values(column, row[column.name]):
                    savepoint = connection.begin_nested()
                    if changed(connection, table, row, column.name, value) and not any_finding_in(connection):
                        found.append((next(iter(row.values())), column.name, value))
                    savepoint.rollback()
    return found


def test_where_nothing_was_changed_nothing_is_found(books: str) -> None:
    findings, tally = verified(books)
    assert findings == []
    assert (tally.licenses, tally.entries, tally.records, tally.findings) == (3, 14, 7, 0)
    assert sum(tally.accounts.values()) == 0
    assert tally.accounts["overrun"] == -(5_000 - 973)
    assert verify(books, "l") == verify(books, "u") == verify(books, "n") == []
    audit(books)


def test_every_change_of_an_entry_is_found(books: str) -> None:
    assert unseen(books, ledger_entry) == []


def test_every_change_of_a_request_record_is_found(books: str) -> None:
    assert unseen(books, usage_record) == []


def test_every_change_of_a_licences_sums_is_found(books: str) -> None:
    # These say who the licence is, not what it has.
    about = {"license_type_id", "unique_id", "name", "unlimited", "active", "created_at", "user_allowance"}
    # And what drains with time was another a moment ago.
    about |= {"requests_owed", "tokens_owed", "metered_at"}
    assert set(unseen(books, license_table, but=lambda _: about)) <= {("n", "id", "nx")}


def test_changes_of_a_hold_are_found_as_far_as_the_books_depend_on_it(books: str) -> None:
    said = {"request_id", "key_id", "provider", "model", "taken_at", "expires_at", "owner", "tokens"}

    def not_in_the_books(row: dict[str, Any]) -> set[str]:
        match row["state"], row["id"]:
            case "open", _:
                return {"id", *said}
            case "settled", "free" | "plain":
                # Whoever was charged nothing, or has it back, has used nothing of an allowance.
                return {"taken_at", "expires_at", "owner", "tokens", "amount", "user_id"}
            case "settled", _:
                return {"taken_at", "expires_at", "owner", "tokens", "amount"}
            case "released", "late":
                return {"taken_at", "expires_at", "owner", "tokens", "amount", "reason", "ended_at"}
        return {"id", "license_id", "amount", "reason", "ended_at", "user_id", *said}

    assert unseen(books, hold, but=not_in_the_books) == []


@pytest.mark.parametrize("table", [ledger_entry, usage_record, hold, license_table], ids=lambda t: t.name)
def test_every_row_that_is_removed_is_missed(books: str, table: Table) -> None:
    with tampering(books) as connection:
        for row in rows(connection, table):
            savepoint = connection.begin_nested()
            connection.execute(delete(table).where(this(table, row)))
            # Nothing depends on a hold that ended without a charge, nor on a licence without entries.
            if row["id" if "id" in row else "hold_id"] not in ("gone", "n"):
                assert findings_in(connection), row
            savepoint.rollback()


def test_entries_that_changed_places_are_found(books: str) -> None:
    with tampering(books) as connection:
        entry = ledger_entry.c
        for seq, other in ((5, -1), (6, 5), (-1, 6)):
            connection.execute(
                update(ledger_entry).where(entry.license_id == "l", entry.seq == seq).values(seq=other)
            )
        assert {(f.check, f.seq) for f in findings_in(connection)} >= {("hash", 5), ("hash", 6), ("hash", 7)}


def insert_behind(connection: Connection, **columns: object) -> None:
    """A well-made entry behind the last one of `l`."""
    last = rows(connection, ledger_entry)[-3]
    assert last["license_id"] == "l"
    row = {**last, "seq": last["seq"] + 1, "id": "x", **columns}
    *plain, sealed, _ = row.values()
    row["hash"] = entry_hash(last["hash"], tuple(plain), sealed)
    connection.execute(insert(ledger_entry).values(row))


def test_an_entry_that_was_put_in_is_found(books: str) -> None:
    with tampering(books) as connection:
        insert_behind(connection)
        assert {f.check for f in findings_in(connection)} >= {"cache", "head"}


def test_the_end_cut_off_is_found(books: str) -> None:
    with tampering(books) as connection:
        last = rows(connection, ledger_entry)[-3]
        connection.execute(delete(ledger_entry).where(this(ledger_entry, last)))
        wrong = {(f.check, f.column) for f in findings_in(connection, "l")}
        assert {("head", "head"), ("cache", "entries")} <= wrong


def test_a_charge_that_was_booked_twice_with_all_that_belongs_to_it_is_found(books: str) -> None:
    with tampering(books) as connection:
        (first,) = (row for row in rows(connection, ledger_entry) if row["hold_id"] == "mine")
        last = rows(connection, ledger_entry)[-1]
        row = {**first, "seq": 3, "balance_after": -15}
        *plain, sealed, _ = row.values()
        row["hash"] = entry_hash(last["hash"], tuple(plain), sealed)
        connection.execute(insert(ledger_entry).values(row))
        values = {"used": 15, "entries": 3, "head": row["hash"]}
        connection.execute(update(license_table).where(license_table.c.id == "u").values(values))
        (finding,) = findings_in(connection)
        assert (finding.check, finding.hold_id, finding.seq, finding.found) == ("charge", "mine", 3, 2)


def test_a_record_that_was_erased_leaves_the_chain_whole_and_is_said_to_be_missing(books: str) -> None:
    with tampering(books) as connection:
        connection.execute(delete(usage_record).where(usage_record.c.hold_id == "much"))
        (finding,) = findings_in(connection)
        assert (finding.check, finding.license_id, finding.hold_id) == ("record_missing", "l", "much")
        assert finding.seq is not None


def test_one_altered_entry_is_one_finding_and_says_where(books: str) -> None:
    with tampering(books) as connection:
        entry = ledger_entry.c
        connection.execute(
            update(ledger_entry).where(entry.license_id == "l", entry.seq == 2).values(reason="bribe")
        )
        (finding,) = findings_in(connection)
        assert (finding.check, finding.license_id, finding.seq, finding.column) == ("hash", "l", 2, "hash")


def test_a_refund_beyond_the_charge_is_found(books: str) -> None:
    with tampering(books) as connection:
        insert_behind(
            connection, kind="refund", debit="revenue", credit="license", amount=11, hold_id="other"
        )
        assert ("refund", "amount", 41, 40) in {
            (f.check, f.column, f.found, f.expected) for f in findings_in(connection)
        }


def test_what_is_wrong_many_times_is_told_a_hundred_times(books: str) -> None:
    with tampering(books) as connection:
        row = rows(connection, hold)[0]
        connection.execute(
            insert(hold),
            [
                {**row, "id": f"h{n}", "state": "settled", "reason": "none", "ended_at": None}
                for n in range(103)
            ],
        )
        findings = [f for f in findings_in(connection) if f.check == "hold"]
        assert len(findings) == 101
        assert findings[-1].message == "106 more of these are not told one by one"


def test_the_canonical_bytes_are_those_of_the_manual() -> None:
    entry = ("l", 2, None, "charge", "license", "revenue", 7, 93, "h", "r", 'é"\n\x01/', None, False, 5)
    seal = sha256(b"record").digest()
    written = (
        '["l",2,null,"charge","license","revenue",7,93,"h","r","é\\"\\n\\u0001/",null,false,5,"'
        + seal.hex()
        + '"]'
    )
    assert entry_hash(bytes(32), entry, seal) == sha256(bytes(32) + written.encode()).digest()


async def test_it_finds_nothing_while_a_gateway_works(url: str) -> None:
    add_license(url, "l", 10**6)

    async def work(ledger: GroupCommitLedger) -> None:
        while not done.is_set():
            hold = await ledger.hold(order("l", 10))
            await ledger.settle(charge(hold.id, "l", 7))

    done = asyncio.Event()
    async with ledger_on(url) as ledger, asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(work(ledger))
        looked_at = []
        for _ in range(5):
            findings, tally = await asyncio.to_thread(verified, url)
            assert findings == []
            looked_at.append(tally.entries)
        done.set()
    assert looked_at[-1] > looked_at[0]


@pytest.mark.parametrize(
    ("table", "column", "check"),
    [
        ("ledger_entry", "amount", "entry"),
        ("ledger_entry", "hash", "hash"),
        ("ledger_entry", "kind", "entry"),
        ("usage_record", "price", "record"),
        ("usage_record", "overrun", "record"),
        ("usage_record", "estimated", "record"),
        ("license", "granted", "cache"),
        ("license", "head", "head"),
        ("hold", "state", "hold"),
    ],
)
async def test_a_value_that_is_not_of_its_columns_type_is_a_finding(
    templates: Templates, tmp_path: Path, table: str, column: str, check: str
) -> None:
    """SQLite keeps whatever it is given."""
    url = templates.sqlite(tmp_path / "typeless.db")
    await write_books(url)
    with tampering(url) as connection:
        connection.exec_driver_sql(f"UPDATE {table} SET {column} = 'what'")
        assert check in {finding.check for finding in findings_in(connection)}
