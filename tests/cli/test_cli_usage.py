"""What `quantized usage` and `quantized models` print of what the gateway's own rooms wrote."""

import asyncio
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cli_harness import EVERY_WAY, Run

from quantized.clock import SystemClock
from quantized.core.ports import Charge, HoldOrder
from quantized.core.usage import Usage
from quantized.ledger.ledger import GroupCommitLedger
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.stores import ledger_store

DAY = 86_400_000
FRIDAY = 1_735_862_400_000  # 2025-01-03T00:00Z


@dataclass
class Then:
    """A clock that stands still."""

    ms: int

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return SystemClock().monotonic()


TOKENS = Usage(input=10, output=5)


@dataclass(frozen=True)
class Spent:
    """One request to be: `at` is when it is charged."""

    license_id: str
    key_id: str
    at: int
    price: int
    model: str = "openai/gpt-4.1"
    usage: Usage = TOKENS
    estimated: bool = False


async def _spend(database: str, requests: Sequence[Spent]) -> None:
    for number, spent in enumerate(requests):
        ledger = GroupCommitLedger(ledger_store(database), Then(spent.at))
        try:
            order = HoldOrder(
                id=f"hold-{number}",
                license_id=spent.license_id,
                wanted=spent.price,
                minimum=0,
                taken_at=spent.at,
                expires_at=spent.at + DAY,
                request_id=f"req-{number}",
                key_id=spent.key_id,
                provider="demo",
                model=spent.model,
            )
            await ledger.hold(order)
            await ledger.settle(
                Charge(
                    hold_id=order.id,
                    request_id=order.request_id,
                    license_id=spent.license_id,
                    key_id=spent.key_id,
                    user_id="=SUM(A1)",
                    surface="chat",
                    provider="demo",
                    model=spent.model,
                    upstream_id=None,
                    usage=spent.usage,
                    price=spent.price,
                    estimated=spent.estimated,
                    provider_cost=None,
                    outcome="completed",
                    started_at=spent.at - 100,
                    first_byte_ms=7,
                    duration_ms=100,
                )
            )
        finally:
            await ledger.close()


@pytest.fixture
def spent(run: Run, database: str) -> tuple[Spent, ...]:
    run("institution", "create", "uni")
    run("license-type", "create", "uni", "course", "--credits", "0.001")
    licenses = [
        run("license", "create", "course", "--unique-id", name, "--json").json["license_id"] for name in "ab"
    ]
    keys = [run("key", "create", owner, "--name", "laptop", "--json").json["key_id"] for owner in licenses]
    requests = (
        Spent(licenses[0], keys[0], FRIDAY, 100),
        Spent(licenses[0], keys[0], FRIDAY + DAY - 1, 200, usage=Usage(1, 2, 3, 4, 5, 6, 7, 8, 9)),
        Spent(licenses[1], keys[1], FRIDAY + DAY, 1_500, model="@evil/model", estimated=True),
        Spent(licenses[0], keys[0], FRIDAY + 2 * DAY, 50),
    )
    asyncio.run(_spend(database, requests))
    return requests


def totals(run: Run, *words: str) -> list[tuple[object, ...]]:
    return [tuple(record.values()) for record in run("usage", "--json", *words).json]


@EVERY_WAY
def test_by_day(run: Run, spent: tuple[Spent, ...]) -> None:
    assert run("usage", "--json").json == [
        {
            "day": "2025-01-03",
            "requests": 2,
            "input": 25,
            "output": 35,
            "charged_micro_credits": 300,
            "overrun_micro_credits": 0,
            "estimated": 0,
        },
        {
            "day": "2025-01-04",
            "requests": 1,
            "input": 10,
            "output": 5,
            "charged_micro_credits": 1_000,
            "overrun_micro_credits": 500,
            "estimated": 1,
        },
        {
            "day": "2025-01-05",
            "requests": 1,
            "input": 10,
            "output": 5,
            "charged_micro_credits": 50,
            "overrun_micro_credits": 0,
            "estimated": 0,
        },
    ]


@EVERY_WAY
def test_by_model_key_and_licence(run: Run, spent: tuple[Spent, ...]) -> None:
    assert totals(run, "--by", "model") == [
        ("@evil/model", 1, 10, 5, 1_000, 500, 1),
        ("openai/gpt-4.1", 3, 35, 40, 350, 0, 0),
    ]
    keys = {row["key_id"]: f"{row['prefix']} laptop" for row in run("key", "list", "--json").json}
    assert totals(run, "--by", "key") == [
        (spent[2].key_id, keys[spent[2].key_id], 1, 10, 5, 1_000, 500, 1),
        (spent[0].key_id, keys[spent[0].key_id], 3, 35, 40, 350, 0, 0),
    ]
    assert [row[:3] for row in totals(run, "--by", "license")] == [
        (spent[2].license_id, "b b", 1),
        (spent[0].license_id, "a a", 3),
    ]


@EVERY_WAY
def test_filters(run: Run, spent: tuple[Spent, ...]) -> None:
    def requests(*words: str) -> list[str]:
        return [row["request_id"] for row in run("usage", "--by", "request", "--json", *words).json]

    assert requests() == ["req-0", "req-1", "req-2", "req-3"]
    assert requests("--license", "a") == ["req-0", "req-1", "req-3"]
    assert requests("--key", spent[2].key_id) == ["req-2"]
    assert requests("--model", "openai/gpt-4.1", "--until", "2025-01-03") == ["req-0", "req-1"]
    assert requests("--since", "2025-01-04") == ["req-2", "req-3"]
    assert requests("--since", "2025-01-03T23:59:59.999Z", "--until", "2025-01-05T00:00Z") == [
        "req-1",
        "req-2",
    ]
    assert requests("--since", "1d") == []
    assert requests("--until", "1d") == requests()
    assert requests("--license", "a", "--model", "@evil/model") == []
    assert requests("--user", "=SUM(A1)") == requests()
    assert requests("--user", "somebody") == []
    assert run("usage", "--license", "nobody").status == 1
    assert run("usage", "--since", "yesterday").status == 2
    assert run("usage", "--by", "year").status == 2


@EVERY_WAY
def test_one_request(run: Run, spent: tuple[Spent, ...]) -> None:
    (record,) = run("usage", "--by", "request", "--key", spent[2].key_id, "--json").json
    assert record == {
        "created_at": "2025-01-04T00:00:00.000Z",
        "request_id": "req-2",
        "license_id": spent[2].license_id,
        "key_id": spent[2].key_id,
        "user_id": "=SUM(A1)",
        "provider": "demo",
        "model": "@evil/model",
        "surface": "chat",
        "outcome": "completed",
        "input": 10,
        "cached_read": 0,
        "output": 5,
        "reasoning": 0,
        "charged_micro_credits": 1_000,
        "overrun_micro_credits": 500,
        "estimated": True,
        "first_byte_ms": 7,
        "duration_ms": 100,
    }


@EVERY_WAY
def test_csv_says_the_same_and_no_cell_is_a_formula(run: Run, spent: tuple[Spent, ...]) -> None:
    records = run("usage", "--by", "request", "--json").json
    rows = list(csv.DictReader(io.StringIO(run("usage", "--by", "request", "--csv").out)))
    assert [row["request_id"] for row in rows] == [record["request_id"] for record in records]
    assert [int(row["charged_micro_credits"]) for row in rows] == [100, 200, 1_000, 50]
    assert {row["user_id"] for row in rows} == {"'=SUM(A1)"}
    assert rows[2]["model"] == "'@evil/model"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    summed = list(csv.reader(io.StringIO(run("usage", "--csv").out)))
    assert summed[0][:2] == ["day", "requests"]
    assert len(summed) == 4
    assert run("usage", "--csv", "--json").status == 2


@EVERY_WAY
def test_for_a_person_amounts_are_credits(run: Run, spent: tuple[Spent, ...]) -> None:
    header, first, *_ = run("usage").out.splitlines()
    assert header.split() == ["day", "requests", "input", "output", "charged", "overrun", "estimated"]
    assert first.split() == ["2025-01-03", "2", "25", "35", "0.0003", "0", "0"]


@EVERY_WAY
def test_nothing_was_used(run: Run, database: str) -> None:
    assert run("usage", "--json").json == []
    assert (
        run("usage", "--csv").out
        == "day,requests,input,output,charged_micro_credits,overrun_micro_credits,estimated\n"
    )
    ran = run("usage")
    assert (ran.out, ran.err) == ("", "Nothing was used.\n")


CONFIG = """
[providers.campus]
base_url = "http://127.0.0.1:9/v1"
[providers.campus.models."meta/llama"]
rates = { input = 0.5, output = 1 }
native_id = "llama3:8b"
[providers.campus.models."meta/unpriced"]
[catalog]
markup = 2
"""
LISTED = b"""{"id": "openai/gpt-4.1-mini", "name": "GPT-4.1 Mini", "created": 1, "context_length": 1000,
"pricing": {"prompt": "0.0000004", "completion": "0.0000016"}, "architecture": {"input_modalities": ["text"],
"output_modalities": ["text"]}, "supported_parameters": ["tools"], "top_provider": {}}"""


def test_models_of_settings_and_database_at_a_licences_rates(run: Run, folder: Path, database: str) -> None:
    (folder / "quantized.toml").write_text(CONFIG)
    rows = {"openai/gpt-4.1-mini": LISTED}
    asyncio.run(CatalogRows(database).replace("openrouter", list(rows.items()), 1))

    def rates(*words: str) -> dict[str, tuple[int, int]]:
        return {
            row["model"]: (row["input_micro_credits_per_million"], row["output_micro_credits_per_million"])
            for row in run("models", "--json", *words, OPENROUTER_API_KEY="k").json
        }

    own = rates()
    assert own["meta/llama"] == (1_000_000, 2_000_000)
    assert own["openai/gpt-4.1-mini"] == (800_000, 3_200_000)
    assert set(own) == {"meta/llama", "openai/gpt-4.1-mini", "quantized/demo"}
    run("institution", "create", "uni")
    run("license-type", "create", "uni", "course", "--markup", "1.5", "--rate", "meta/llama", "output", "7")
    run("license", "create", "course", "--unique-id", "bio")
    its = rates("--license", "bio", "--provider", "campus")
    assert its == {"meta/llama": (1_500_000, 7_000_000)}
    run("license-type", "update", "course", "--models", "openai/*")
    assert set(rates("--license", "bio")) == {"openai/gpt-4.1-mini"}
    run("license-type", "update", "course", "--models", "*", "--providers", "camp*")
    assert set(rates("--license", "bio")) == {"meta/llama"}
    assert "meta/llama" in run("models").out
    assert run("models", "--provider", "campus", QUANTIZED_DEMO="false").out.split("\n")[1].split()[2:5] == [
        "1",
        "1",
        "2",
    ]
