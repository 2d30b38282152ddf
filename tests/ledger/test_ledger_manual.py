"""The manual's worked example is what the ledger does."""

import hashlib
import re
from pathlib import Path
from typing import Any, get_args

from quantized.core.ports import Charge, Receipt
from quantized.core.usage import Usage
from quantized.ledger.chain import (
    GENESIS,
    HASHED_COLUMNS,
    RECORD_COLUMNS,
    entry_bytes,
    entry_hash,
    record_bytes,
)
from quantized.ledger.findings import Check
from quantized.storage.records import settled
from quantized.storage.schema import ledger_entry, usage_record

MANUAL = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()


def example() -> dict[str, Any]:
    """What the manual's program computes; its own assertions hold."""
    (program,) = re.findall(r"```python\n(.*?)```", MANUAL, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    return names


def test_the_worked_example_is_made_of_the_ledgers_own_bytes() -> None:
    charge = Charge(
        hold_id="hold-018bcfe568000a",
        request_id="req-018bcfe568000a",
        license_id="4c0e",
        key_id="key-77",
        user_id=None,
        surface="/v1/chat/completions",
        provider="demo",
        model="quantized/demo",
        upstream_id="gen-1",
        usage=Usage(input=100, output=50),
        price=450,
        estimated=False,
        provider_cost=None,
        outcome="completed",
        started_at=1_700_000_000_000,
        first_byte_ms=120,
        duration_ms=900,
    )
    record = settled(charge, Receipt(450, 0, 999_550), 1_700_000_000_900).record
    said = example()
    assert record_bytes(record) == said["record"]
    sealed = hashlib.sha256(said["record"]).digest()
    sides = ("institution", "license", 1_000_000, 1_000_000)
    grant = ("4c0e", 1, "grant-1", "grant", *sides, None, None, "first credits", "command line", False)
    grant_columns = (*grant, 1_699_999_990_000)
    assert entry_bytes(grant_columns, None) == said["grant"]
    charged = (
        "4c0e",
        2,
        None,
        "charge",
        "license",
        "revenue",
        450,
        999_550,
        charge.hold_id,
        charge.request_id,
    )
    charge_columns = (*charged, None, None, False, 1_700_000_000_900)
    assert entry_bytes(charge_columns, sealed) == said["charge"]
    assert entry_hash(entry_hash(GENESIS, grant_columns, None), charge_columns, sealed) == said["head"]


def test_the_manual_names_the_columns_in_the_tables_order() -> None:
    flat = " ".join(MANUAL.split())
    assert f"Columns of `usage_record`: {', '.join(RECORD_COLUMNS)}." in flat
    assert f"Columns of `ledger_entry`: {', '.join(HASHED_COLUMNS)}." in flat
    assert tuple(usage_record.columns.keys()) == RECORD_COLUMNS
    assert tuple(ledger_entry.columns.keys()) == (*HASHED_COLUMNS, "hash")


def test_every_check_has_its_row_in_the_manual() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", MANUAL, re.MULTILINE)) >= set(get_args(Check))
