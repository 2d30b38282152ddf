"""What a read costs depends on what is read, not on how much else is stored."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from database_copies import Templates

from quantized.storage.sqlite import connect
from quantized.storage.sqlite_turns import SELECT_OWN_CALLS, SqliteTurnReader
from quantized.storage.turn_store import CHAIN, SELECT_EXPIRED

STORED = 100_000


def fill(connection: sqlite3.Connection, prefix: str, count: int) -> None:
    """Conversations of 20 turns and 5,000 bytes each, and for each turn a tool call and one of an id that
    all have."""
    connection.execute(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?2)"
        " INSERT INTO response"
        " (id, license_id, previous_id, hold_id, created_at, expires_at, answer, context, input)"
        " SELECT ?1 || i, 'mine', CASE WHEN i % 20 THEN ?1 || (i - 1) END, '', 0, i,"
        " zeroblob(50), zeroblob(250), '' FROM n",
        (prefix, count),
    )
    connection.execute(
        "INSERT INTO response_call SELECT license_id, 'call-' || id, id, 'f', 1 FROM response"
        " WHERE substr(id, 1, ?2) = ?1 UNION ALL SELECT license_id, 'call_0', id, 'f', 1 FROM response"
        " WHERE substr(id, 1, ?2) = ?1",
        (prefix, len(prefix)),
    )
    connection.execute(
        "INSERT INTO response_reasoning SELECT id, zeroblob(50) FROM response WHERE substr(id, 1, ?2) = ?1",
        (prefix, len(prefix)),
    )


@pytest.fixture
def connection(conversation_templates: Templates, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    url = conversation_templates.sqlite(tmp_path / "conversations.db")
    with closing(connect(url)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        fill(connection, "resp-a", 20)
        yield connection


def steps(connection: sqlite3.Connection, work: Callable[[], object]) -> int:
    """How many instructions the database works through."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    connection.set_progress_handler(step, 1)
    work()
    connection.set_progress_handler(None, 1)
    return count


def test_reads_take_the_same_steps_whatever_else_is_stored(connection: sqlite3.Connection) -> None:
    reader = SqliteTurnReader(connection, "mine", -1)
    chain = reader.chain("resp-a19", turns=200, size=10**6)
    ids = [link.id for link in chain]
    assert (len(ids), chain[-1].size) == (20, 20 * 250)
    call_ids = [f"call-{id_}" for id_ in ids]
    reads: list[Callable[[], object]] = [
        lambda: reader.chain("resp-a19", turns=200, size=10**6),
        lambda: reader.chain("resp-a9", turns=200, size=10**6),
        lambda: reader.contexts(ids),
        lambda: reader.sizes(ids),
        lambda: reader.own_calls(call_ids),
        lambda: reader.own_calls(["call_0"]),
        lambda: reader.reasoning(ids),
    ]
    assert len(reader.own_calls(call_ids)) == 20
    for read in reads:
        read()
    before = [steps(connection, read) for read in reads]
    fill(connection, "resp-b", STORED)
    # Once it may take a step more to see that a key is beyond the ones looked for.
    assert all(
        steps(connection, read) <= steps_then + 2 for read, steps_then in zip(reads, before, strict=True)
    )
    assert before[1] < before[0] * 0.6


def test_a_chain_that_is_too_long_is_not_read_to_its_end(connection: sqlite3.Connection) -> None:
    reader = SqliteTurnReader(connection, "mine", -1)
    assert len(reader.chain("resp-a19", turns=3, size=10**6)) == 4
    assert len(reader.chain("resp-a19", turns=200, size=600)) == 3


@pytest.mark.parametrize(
    ("statement", "values", "indexes"),
    [
        (
            CHAIN.text.format(CHAIN.columns),
            ("mine", 0, "resp-a1", "mine", 200, 10**6),
            ["autoindex_response_1", "autoindex_response_1"],
        ),
        (
            SELECT_OWN_CALLS.format(ids="(?3)"),
            ("mine", 0, "call-1"),
            ["autoindex_response_call_1", "autoindex_response_1", "autoindex_response_reasoning_1"],
        ),
        (SELECT_EXPIRED, (-1, "", 10, 10), ["ix_response_expires_at", "ix_response_previous_id"]),
    ],
)
def test_statements_go_by_an_index(
    connection: sqlite3.Connection, statement: str, values: tuple[str | int, ...], indexes: list[str]
) -> None:
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    searches = [step for step in plan if "response" in step or step.startswith(("SEARCH r", "SEARCH next"))]
    assert all(step.startswith(("SEARCH", "CORRELATED")) for step in searches), plan
    assert [index for index in indexes if not any(index in step for step in searches)] == [], plan
    assert not any("TEMP B-TREE" in step for step in plan), plan
