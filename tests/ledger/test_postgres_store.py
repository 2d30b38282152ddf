"""What the ledger's store on PostgreSQL promises beyond what any store does."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import closing, nullcontext

import pytest
from database_copies import Templates
from in_time import tries
from ledger_world import NOW, add_license, audit, charge, ledger_on, order, query, until
from plain_sql import plainly
from postgres_server import PostgresServer, postgres_server

from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Hold, Receipt
from quantized.storage import postgres_ledger, postgres_writing
from quantized.storage.migrate import migrate
from quantized.storage.postgres_ledger import PostgresLedgerStore
from quantized.storage.postgres_pipeline import Statement
from quantized.storage.records import Changes, Needs, Rejected, Rows

FILL = (
    "INSERT INTO license (id, license_type_id, name, created_at)"
    " SELECT 'l' || i, 't', '', 0 FROM generate_series(1, 5000) AS i",
    "INSERT INTO hold SELECT 'h' || i, 'l' || i % 5000, 1,"
    " CASE WHEN i % 100 = 0 THEN 'open' ELSE 'settled' END, NULL, 0, i,"
    " CASE WHEN i % 100 = 0 THEN NULL ELSE 1 END, 'r' || i, 'k', 'p', 'm'"
    " FROM generate_series(1, 20000) AS i",
    "INSERT INTO usage_record SELECT id, request_id, license_id, key_id, NULL, 's', 'p', 'm', NULL,"
    " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, false, NULL, 'completed', 0, NULL, 0, 0 FROM hold",
)
CHANGES = frozenset({"ModifyTable"})


@pytest.fixture
def url(templates: Templates) -> Iterator[str]:
    with templates.postgres() as url:
        yield url


def statements() -> Iterator[Statement]:
    yield from (
        found
        for found in vars(postgres_ledger).values()
        if isinstance(found, Statement) and b"SELECT" in found.sql
    )
    for part in ("_ENDED_HOLDS", "_LICENSES"):
        yield postgres_writing._statement((getattr(postgres_writing, part),))


@pytest.mark.parametrize("known", ["empty", "not yet analysed", "analysed"])
def test_every_statement_goes_by_a_key_whatever_the_planner_believes(url: str, known: str) -> None:
    add_license(url, "l")
    with plainly(url) as sql:
        if known != "empty":
            sql("SET session_replication_role = replica")
            for statement in FILL:
                sql(statement)
        if known == "analysed":
            sql("ANALYZE")
        sql.many(postgres_ledger._SESSION + ";")
        seen = 0
        for statement in statements():
            ((plan,),) = sql(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {statement.sql.decode()}")
            for node in nodes(plan):
                if "Relation Name" in node and node["Node Type"] not in CHANGES:
                    assert node.get("Index Cond"), (statement.name, node)
                    seen += 1
        assert seen >= 8


def nodes(plan: object) -> Iterator[dict[str, object]]:
    if isinstance(plan, list):
        for part in plan:
            yield from nodes(part)
    if isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for part in plan.values():
            yield from nodes(part)


def falter(url: str, code: str, times: int) -> None:
    """So many tries to take a hold fail with the condition."""
    with plainly(url) as sql:
        sql("CREATE SEQUENCE tries")
        sql(
            "CREATE FUNCTION falter() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}';"
            " END IF; RETURN NEW; END $$"
        )
        sql("CREATE TRIGGER falter BEFORE INSERT ON hold FOR EACH ROW EXECUTE FUNCTION falter()")


@pytest.mark.parametrize("code", ["deadlock_detected", "serialization_failure", "unique_violation"])
@pytest.mark.parametrize(("times", "taken"), [(1, True), (2, True), (3, False)])
def test_who_was_in_each_others_way_tries_again_and_not_for_ever(
    url: str, code: str, times: int, taken: bool
) -> None:
    add_license(url, "l", 100)
    falter(url, code, times)
    asked = 0

    def decide(rows: Rows) -> Changes:
        nonlocal asked
        asked += 1
        assert rows.licenses["l"].held == 0
        rows.licenses["l"].held = 7
        return Changes(licenses=rows.licenses, holds=[(order("l", 7), 7)])

    with closing(PostgresLedgerStore(url)) as store:
        refusal = Rejected if code == "unique_violation" else LedgerUnavailable
        with nullcontext() if taken else pytest.raises(refusal):
            store.transact(Needs(license_ids=["l"]), decide, now_ms=NOW)
    assert asked == min(times + 1, 3)
    assert audit(url) == {"l": (100, 0, 7 if taken else 0)}


def test_what_responses_say_is_not_squeezed_when_it_is_written(url: str) -> None:
    with plainly(url) as sql:
        kept = sql(
            "SELECT attname, attstorage::text FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid"
            " WHERE typname = 'bytea' AND attrelid IN ('response'::regclass, 'response_reasoning'::regclass)"
        )
    assert sorted(kept) == [(name, "e") for name in ("answer", "context", "input", "reasoning")]


def test_a_server_that_may_forget_commits_is_told_not_to(url: str) -> None:
    add_license(url, "l", 100)
    with plainly(url) as sql:
        ((name,),) = sql("SELECT current_database()")
        sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        sql("CREATE TABLE said (setting text)")
        sql(
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO said VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$"
        )
        sql("CREATE TRIGGER tell AFTER INSERT ON hold FOR EACH ROW EXECUTE FUNCTION tell()")

    def decide(rows: Rows) -> Changes:
        rows.licenses["l"].held = 7
        return Changes(licenses=rows.licenses, holds=[(order("l", 7), 7)])

    with closing(PostgresLedgerStore(url)) as store:
        store.transact(Needs(license_ids=["l"]), decide, now_ms=NOW, durable=False)
    assert query(url, "SELECT setting FROM said") == [{"setting": "on"}]


async def test_a_connection_that_ended_while_nobody_used_it_is_not_missed(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        await ledger.hold(order("l", 10))
        with plainly(url) as sql:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            sql(f"SELECT pg_terminate_backend(pid, 5000) {others}")
        await ledger.hold(order("l", 20))
    assert audit(url) == {"l": (100, 0, 30)}
    assert caplog.records == []


async def test_a_hold_and_its_end_in_one_batch(url: str) -> None:
    add_license(url, "l", 100)
    async with ledger_on(url) as ledger:
        first = ledger.hold(order("l", 1))
        wishes = [order("l", 10, hold_id=name) for name in ("released", "settled", "late", "open")]
        said = [
            *map(ledger.hold, wishes),
            ledger.release("released", "cut"),
            ledger.settle(charge("settled", "l", 9)),
            ledger.release("late", "cut"),
            ledger.settle(charge("late", "l", 8)),
        ]
        assert (await first).amount == 1
        answers = await asyncio.gather(*said)
    assert answers[:4] == [Hold(wish.id, "l", 10) for wish in wishes]
    assert answers[5] == Receipt(9, 0, 91)
    assert answers[7] == Receipt(8, 0, 83)
    states = {row["id"]: (row["state"], row["reason"]) for row in query(url, "SELECT * FROM hold")}
    assert states == states | {
        "released": ("released", "cut"),
        "settled": ("settled", None),
        "late": ("released", "cut"),
        "open": ("open", None),
    }
    assert audit(url) == {"l": (100, 17, 11)}


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        migrate(server.url)
        yield server


async def test_a_server_that_says_nothing_is_not_waited_for(server: PostgresServer) -> None:
    add_license(server.url, "silent", 100)
    async with ledger_on(server.url, patience=1.8) as ledger:
        for number, attempt in enumerate(tries(2), 1):
            kept = await ledger.hold(order("silent", 10))
            server.pause()
            try:
                with attempt.timing(), pytest.raises(LedgerUnavailable):
                    await ledger.settle(charge(kept.id, "silent", 5))
            finally:
                server.resume()
            books = (100, 5 * number, 0)
            await until(lambda books=books: audit(server.url)["silent"] == books)
        assert (await ledger.hold(order("silent", 10))).amount == 10


async def test_what_was_told_outlives_a_server_that_is_killed_and_service_resumes(
    server: PostgresServer,
) -> None:
    add_license(server.url, "killed", 10_000)
    told: list[str] = []
    async with ledger_on(server.url, patience=1.8) as ledger:

        async def take() -> None:
            while True:
                told.append((await ledger.hold(order("killed", 1))).id)

        tasks = [asyncio.create_task(take()) for _ in range(20)]
        await until(lambda: len(told) > 200)
        await asyncio.to_thread(server.stop, signal.SIGQUIT)
        with pytest.raises(LedgerUnavailable):
            await asyncio.gather(*tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(server.start)
        taken = {row["id"] for row in query(server.url, "SELECT id FROM hold")}
        assert set(told) <= taken
        again = order("killed", 1)
        while again.id not in told:
            try:
                told.append((await ledger.hold(again)).id)
            except LedgerUnavailable:
                again = order("killed", 1)
        over = (ledger.release(hold_id, "over") for hold_id in told)
        await asyncio.gather(*over, return_exceptions=True)
        await until(lambda: audit(server.url)["killed"] == (10_000, 0, 0))
