"""What requests read: keys, licences, and the stored lists of models."""

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from database_copies import Templates
from in_time import tries
from plain_sql import plainly, rows

from quantized.core.errors import LedgerUnavailable
from quantized.core.limits import Limits
from quantized.core.ports import Caller, KeyRecord, LicenseStatus, Override, UserAllowance
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.database import DatabaseUnusable
from quantized.storage.keys import SqlKeyStore
from quantized.storage.sqlite import connect, sqlite_path


@pytest.fixture
def url(database_url: str) -> str:
    with plainly(database_url) as sql:
        sql("INSERT INTO institution VALUES ('i', 'uni', 'University', 0)")
        sql(
            "INSERT INTO license_type (id, institution_id, alias, name, markup_bp, overrides, created_at,"
            " updated_at, stores_responses, retention_days, allowed_models)"
            " VALUES ('t', 'i', 'course', 'Course', 12000, ?, 0, 0, false, 7, ?)",
            '{"openai/gpt": {"input": 5, "request": 0}}',
            '["openai/*"]',
        )
        sql(
            "INSERT INTO license (id, license_type_id, unique_id, name, created_at, granted, used, held)"
            " VALUES ('l', 't', 'course-7', 'Seven', 0, 100, 30, 50)"
        )
        sql(
            "INSERT INTO license (id, license_type_id, name, unlimited, active, created_at, used)"
            " VALUES ('u', 't', 'Unlimited', true, false, 0, 5)"
        )
        sql(
            "INSERT INTO api_key (id, license_id, digest, prefix, name, expires_at, user_id, created_at)"
            " VALUES ('k', 'l', ?, 'sk', 'K', 99, 'ann', 0)",
            b"\x01\x02",
        )
        sql(
            "INSERT INTO api_key (id, license_id, digest, prefix, name, active, created_at)"
            " VALUES ('k2', 'u', ?, 'sk', 'K2', false, 0)",
            b"\x03",
        )
    return database_url


@pytest.fixture
async def keys(url: str) -> AsyncIterator[SqlKeyStore]:
    keys = SqlKeyStore(url, patience=20)
    yield keys
    keys.close()


async def test_a_key_is_found_by_its_digest_with_all_that_a_request_needs(keys: SqlKeyStore) -> None:
    found = await keys.find(b"\x01\x02")
    assert found is not None
    terms = found.caller.terms
    assert (terms.markup_bp, terms.overrides) == (12_000, {"openai/gpt": Override(input=5, request=0)})
    assert terms.allowed == ("openai/*",)
    caller = Caller("i", "t", "l", "k", terms, "ann", stores_responses=False, retention_days=7)
    assert found == KeyRecord(b"\x01\x02", True, 99, True, caller)
    other = await keys.find(b"\x03")
    assert other is not None
    assert (other.active, other.license_active, other.expires_at) == (False, False, None)
    assert await keys.find(b"\x04") is None


async def test_terms_are_named_by_what_they_say(url: str, keys: SqlKeyStore) -> None:
    async def name() -> str:
        found = await keys.find(b"\x01\x02")
        assert found is not None
        return found.caller.terms.id

    names = [await name(), await name()]
    for change in (
        "markup_bp = 11000",
        "overrides = '{}'",
        "allowed_models = '[]'",
        "allowed_models = '[\"a/*\"]'",
    ):
        rows(url, f"UPDATE license_type SET {change}")
        names.append(await name())
    assert names[0] == names[1]
    assert len(set(names)) == 5


async def test_limits_providers_and_the_nearest_allowance_come_with_the_key(
    url: str, keys: SqlKeyStore
) -> None:
    async def caller() -> Caller:
        found = await keys.find(b"\x01\x02")
        assert found is not None
        return found.caller

    assert ((await caller()).limits, (await caller()).user_allowance) == (Limits(), None)
    rows(
        url,
        "UPDATE license_type SET requests_per_minute = 1, tokens_per_minute = 2, parallel_requests = 3,"
        " output_tokens_per_request = 4, allowed_providers = '[\"demo\"]', user_allowance = 100",
    )
    now = await caller()
    assert (now.limits, now.terms.providers, now.user_allowance) == (Limits(1, 2, 3, 4), ("demo",), 100)
    rows(url, "UPDATE license SET user_allowance = 0 WHERE id = 'l'")
    assert (await caller()).user_allowance == 0
    rows(url, "INSERT INTO user_allowance (license_id, user_id, used) VALUES ('l', 'ann', 7)")
    assert (await caller()).user_allowance == 0
    rows(url, "UPDATE user_allowance SET cap = 5")
    assert (await caller()).user_allowance == 5
    status = await keys.read_license("l", "ann")
    assert status is not None and status.user_allowance == UserAllowance("ann", 5, 7, 0)
    other = await keys.read_license("l", "bob")
    assert other is not None and other.user_allowance == UserAllowance("bob", 0, 0, 0)


async def test_a_licence_is_read_as_it_is_now(url: str, keys: SqlKeyStore) -> None:
    assert await keys.read_license("l") == LicenseStatus("i", "t", "l", "course-7", 30, 70)
    assert await keys.read_license("u") == LicenseStatus("i", "t", "u", None, 5, None)
    assert await keys.read_license("nobody") is None


async def test_reading_waits_for_no_writer(url: str, keys: SqlKeyStore) -> None:
    with plainly(url) as writer:
        writer("BEGIN")
        writer("UPDATE license SET used = 31 WHERE id = 'l'")
        status = await keys.read_license("l")
        writer("COMMIT")
    assert status is not None
    assert status.used_micro_credits == 30


async def test_a_file_that_is_away_is_said_so_and_found_again(templates: Templates, tmp_path: Path) -> None:
    url = templates.sqlite(tmp_path / "test.db")
    path = sqlite_path(url)
    away = path.rename(tmp_path / "away.db")
    keys = SqlKeyStore(url)
    with pytest.raises(LedgerUnavailable):
        await keys.find(b"\x01\x02")
    with pytest.raises(LedgerUnavailable):
        await keys.check()
    assert not path.exists()
    away.rename(path)
    await keys.check()
    assert await keys.find(b"\x01\x02") is None
    keys.close()


async def test_a_file_that_somebody_keeps_is_not_waited_for(templates: Templates, tmp_path: Path) -> None:
    url = templates.sqlite(tmp_path / "test.db")
    with closing(connect(url)) as owner:
        owner.execute("PRAGMA journal_mode = DELETE")
        owner.execute("BEGIN EXCLUSIVE")
        keys = SqlKeyStore(url, patience=0.1)
        for attempt in tries(1):
            with attempt.timing(), pytest.raises(LedgerUnavailable, match="unavailable"):
                await keys.check()
        owner.execute("ROLLBACK")
    keys.close()


@pytest.mark.parametrize(
    "column", ['overrides = \'{"m": {"input": 1.5}}\'', "allowed_models = '*'", "allowed_models = '\"*\"'"]
)
async def test_terms_that_cannot_be_read_serve_nobody(url: str, keys: SqlKeyStore, column: str) -> None:
    rows(url, f"UPDATE license_type SET {column}")
    with pytest.raises(LedgerUnavailable) as fault:
        await keys.find(b"\x01\x02")
    assert "rates" in str(fault.value.cause)


def test_a_url_that_cannot_work_is_refused_at_once() -> None:
    for make in (SqlKeyStore, CatalogRows):
        with pytest.raises(DatabaseUnusable):
            make("postgresql://somewhere")


async def test_a_list_of_models_replaces_the_one_before_whole_and_keeps_its_order(database_url: str) -> None:
    kept = CatalogRows(database_url)
    assert await kept.load("p") == []
    await kept.replace("p", [("b", b'{"n":1}'), ("a", b'{"n":2}')], 5)
    await kept.replace("q", [("a", b"{}")], 6)
    assert await kept.load("p") == [b'{"n":1}', b'{"n":2}']
    await kept.replace("p", [("c", b'{"n":3}')], 7)
    assert await kept.load("p") == [b'{"n":3}']
    assert await kept.load("q") == [b"{}"]
    with pytest.raises(LedgerUnavailable):
        await kept.replace("p", [("d", b"1"), ("d", b"2")], 8)
    assert await kept.load("p") == [b'{"n":3}']


async def test_no_list_of_models_where_there_is_no_database(tmp_path: Path) -> None:
    rows = CatalogRows(f"sqlite:///{tmp_path}/missing.db")
    with pytest.raises(LedgerUnavailable):
        await rows.load("p")
