"""A database from before double entry has whole books afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from books_world import verified
from database_copies import KINDS, PostgresDatabases
from ledger_world import NOW
from sqlalchemy import Connection, text

import quantized.storage.migrations
from quantized.core.usage import Usage
from quantized.storage.engine import open_engine
from quantized.storage.migrate import migrate
from quantized.storage.records import USAGE_COLUMNS
from quantized.storage.statements import LicenseStatement, Period, reading_statements


@pytest.fixture(params=KINDS)
def old(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: Callable[[], PostgresDatabases]
) -> Iterator[str]:
    """The URL of a database with the schema of single entries."""
    if request.param == "sqlite":
        yield before_double_entry(f"sqlite:///{tmp_path}/old.db")
    else:
        with postgres().temporary() as url:
            yield before_double_entry(url)


def before_double_entry(url: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(Path(quantized.storage.migrations.__path__[0])))
    with open_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
    return url


def insert(connection: Connection, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    marks = ", ".join(f":{name}" for name in names)
    connection.execute(text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"), rows)


def write(connection: Connection, license_id: str, charges: int, *, unlimited: bool) -> None:
    """A grant, a correction and charges of 10; the last one cost 15."""
    balance = 1_000 + 10 * charges - 10
    entries = [(f"g{license_id}", "grant", balance + 10), (f"a{license_id}", "adjustment", -10)]
    rows: list[dict[str, Any]] = []
    for entry_id, kind, amount in entries:
        rows.append({"id": entry_id, "kind": kind, "amount": amount, "hold_id": None, "request_id": None})
    holds, records = [], []
    for number in range(charges):
        last = number == charges - 1
        named = {"license_id": license_id, "request_id": f"r{number}", "key_id": "k"}
        hold_id = f"h-{license_id}-{number}"
        said = {**named, "provider": "demo", "model": "m"}
        times = {"taken_at": NOW, "expires_at": NOW, "ended_at": NOW}
        holds.append({"id": hold_id, "amount": 10, "state": "settled", **times, **said})
        charged = {"id": None, "hold_id": hold_id, "request_id": f"r{number}"}
        rows.append({**charged, "kind": "charge", "amount": -10})
        if last:
            rows.append({**charged, "kind": "overrun", "amount": 5})
        balance -= 10
        over = 5 if last else 0
        record = {
            **dict.fromkeys(USAGE_COLUMNS), **dict.fromkeys(Usage.__struct_fields__, 3), **said,
            "hold_id": hold_id, "surface": "chat", "price": 10 + over, "charged": 10, "overrun": over,
            "remaining": None if unlimited else balance, "estimated": number % 2 == 1, "outcome": "completed",
            "user_id": "Zoë\n", "started_at": NOW, "duration_ms": 1, "created_at": NOW,
        }  # fmt: skip
        records.append(record)
    balance = 0
    for seq, row in enumerate(rows, 1):
        balance += row["amount"] if row["kind"] != "overrun" else 0
        estimated = row["hold_id"] is not None and int(row["hold_id"].rpartition("-")[2]) % 2 == 1
        row |= {"license_id": license_id, "seq": seq, "estimated": estimated, "created_at": NOW}
        row |= {"balance_after": None if unlimited else balance, "reason": "term", "actor": "ann"}
    about = {"id": license_id, "license_type_id": "t", "unique_id": license_id, "name": "", "created_at": 0}
    sums = {"granted": balance + 10 * charges, "used": 10 * charges, "entries": len(rows)}
    insert(connection, "license", [{**about, **sums, "unlimited": unlimited}])
    insert(connection, "hold", holds)
    insert(connection, "ledger_entry", rows)
    insert(connection, "usage_record", records)


def test_old_entries_become_double_ones_and_are_chained(old: str) -> None:
    with open_engine(old).begin() as connection:
        insert(connection, "institution", [{"id": "i", "alias": "i", "name": "I", "created_at": 0}])
        named = {
            "id": "t",
            "institution_id": "i",
            "alias": "t",
            "name": "T",
            "created_at": 0,
            "updated_at": 0,
        }
        insert(connection, "license_type", [named])
        write(connection, "a", 3, unlimited=False)
        write(connection, "b", 700, unlimited=True)
        write(connection, "c", 700, unlimited=False)
        about = {"id": "d", "license_type_id": "t", "unique_id": "d", "name": "", "created_at": 0}
        insert(connection, "license", [about])
    migrate(old)
    findings, tally = verified(old)
    assert findings == []
    assert (tally.licenses, tally.entries, tally.records) == (4, 1_403 + 9, 1_403)
    assert tally.accounts["overrun"] == -15
    with reading_statements(old) as connection:
        lines = [line.amount for line in LicenseStatement(connection, "a", Period()).lines()]
    assert lines == [1_030, -10, -10, -10, -10]
