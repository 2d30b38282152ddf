"""Statements go by an index, also before PostgreSQL has looked into the tables."""

from collections.abc import Iterator

import pytest
from database_copies import Templates

from quantized.storage.postgres import PostgresConnection, PostgresDatabase
from quantized.storage.postgres_turns import SELECT_OWN_CALLS
from quantized.storage.turn_store import CHAIN, SELECT_EXPIRED

FILL = (
    "INSERT INTO response SELECT 'resp-' || i, 'mine', 'resp-' || (i - 1), 'none', 0, i, 'a', 'b', 'c'"
    " FROM generate_series(1, 20000) AS i",
    "INSERT INTO response_call SELECT 'mine', 'call-' || i % 1000, 'resp-' || i, 'f', 1"
    " FROM generate_series(1, 20000) AS i",
    "INSERT INTO response_reasoning SELECT 'resp-' || i, 'r' FROM generate_series(1, 20000) AS i",
)
PLACED = {
    "chain": (CHAIN.text.format(CHAIN.columns), ("mine", 0, "resp-9", "mine", 200, 10**6)),
    "own calls": (SELECT_OWN_CALLS, {"ids": ["call-1", "call-2"], "license": "mine", "now": 0}),
    "expired": (SELECT_EXPIRED, (-1, "", 10, 10)),
}


@pytest.fixture
def connection(conversation_templates: Templates) -> Iterator[PostgresConnection]:
    with conversation_templates.postgres() as url, PostgresDatabase(url).connect() as connection:
        yield connection


@pytest.mark.parametrize("known", ["not yet analysed", "analysed"])
def test_a_plan_searches_and_never_scans(connection: PostgresConnection, known: str) -> None:
    connection.execute("SET session_replication_role = replica")  # rows without their charges
    for statement in FILL:
        connection.execute(statement)
    if known == "analysed":
        connection.execute("ANALYZE response, response_call, response_reasoning")
    connection.execute("SET plan_cache_mode = force_generic_plan")
    for name, (text, values) in PLACED.items():
        explained = f"EXPLAIN (FORMAT JSON) {text.replace('?', '%s')}"
        ((plan,),) = connection.execute(explained, values, prepare=True).fetchall()
        of_tables = [node for node in nodes(plan) if "Relation Name" in node]
        assert of_tables, name
        assert all(node.get("Index Cond") for node in of_tables), (name, of_tables)


def nodes(plan: object) -> Iterator[dict[str, object]]:
    if isinstance(plan, list):
        for part in plan:
            yield from nodes(part)
    if isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for part in plan.values():
            yield from nodes(part)
