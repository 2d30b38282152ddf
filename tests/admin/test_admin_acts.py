"""Every act leaves one entry in the audit log, in its own transaction; nothing else leaves any."""

import json
from typing import Any

import msgspec
import pytest
from admin_requests import wording
from admin_world import ANOTHER_KEY, CLOCK, ROOT, Gateway, use
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from quantized.administration import verbs as v
from quantized.administration.administration import _WRITES, Administration
from quantized.administration.endpoints import ENDPOINTS
from quantized.administration.port import Repeat
from quantized.administration.words import iso_time
from quantized.auth.api_key import PREFIX
from quantized.core.errors import Fault
from quantized.core.usage import GROUPINGS
from quantized.storage.database import DatabaseUnusable
from quantized.storage.engine import open_engine

ACTS = [endpoint for endpoint in ENDPOINTS if endpoint.verb in _WRITES]


def plain(raw: Any) -> Any:
    return json.loads(bytes(raw))


def secrets_of(answer: Any) -> list[str]:
    return [value for name, value in answer.items() if name in ("api_key", "admin_key")]


def test_every_act_leaves_one_entry_with_who_what_when_from_where_before_and_after(gateway: Gateway) -> None:
    world = gateway.world
    seen = len(gateway.log())
    for endpoint in ACTS:
        path, rest = wording(endpoint, world.ours)
        began = iso_time(CLOCK.now_ms())
        answer = gateway.say(endpoint.method, path, world.secrets["operator"], **rest)
        assert answer.status_code == endpoint.status, (endpoint.name, answer.text)
        log = gateway.log()
        # Of a rotation the old key has an entry, too.
        entries = 2 if endpoint.name.startswith("rotate") else 1
        assert len(log) == seen + entries, endpoint.name
        seen += entries
        entry = log[-1]
        assert (entry.action, entry.actor_name, entry.role) == (endpoint.name, "the operator", "operator")
        assert entry.origin == "127.0.0.1"
        assert entry.request_id == answer.headers["x-request-id"]
        assert entry.actor_id == gateway.operate("GET", "/self")["id"]
        assert began <= entry.at <= iso_time(CLOCK.now_ms())
        made, changed = plain(entry.after), plain(entry.before)
        # What changed is there before and after; what was made was not there, what was removed is no more.
        assert changed != made, endpoint.name
        if endpoint.name.startswith("create"):
            assert changed is None
        elif endpoint.method == "PATCH":
            assert set(changed) == set(made)
        expected = {} if endpoint.name == "createInstitution" else {world.ours.institution}
        assert not expected or entry.institution_id in expected
        for secret in secrets_of(answer.json()):
            assert secret not in str([plain(e.before) for e in log] + [plain(e.after) for e in log])
    assert list(gateway.desk.audit_breaks()) == []


def test_no_table_holds_a_secret_but_as_its_digest(gateway: Gateway) -> None:
    world = gateway.world
    headers = {"idempotency-key": "once"}
    key = gateway.operate("POST", "/keys", {"license": world.ours.license}, headers=headers)["api_key"]
    admin = gateway.operate(
        "POST", "/admin-keys", {"name": "x", "role": "auditor"}, headers={"idempotency-key": "twice"}
    )["admin_key"]
    secrets = [key, admin, *world.secrets.values(), world.ours.api_key, *world.ours.secrets.values()]
    assert all(secret.startswith(PREFIX) for secret in secrets)
    engine = open_engine(gateway.database_url)
    with engine.connect() as connection:
        for table in ("admin_key", "audit_entry", "admin_answer", "api_key"):
            rows = str(connection.execute(text(f"SELECT * FROM {table}")).all())
            assert rows
            assert not [secret for secret in secrets if secret in rows], table
    told = msgspec.json.encode(gateway.lines).decode()
    assert not [secret for secret in secrets if secret in told]


def test_what_is_refused_leaves_nothing(gateway: Gateway) -> None:
    world, log = gateway.world, gateway.log()
    license_ = f"/licenses/{world.ours.license}"
    refused: list[tuple[str, str, Any, int, str | None]] = [
        ("POST", "/institutions", {"alias": "ours"}, 409, None),
        ("POST", "/license-types", {"institution": "ours", "alias": "standard"}, 409, None),
        ("POST", "/licenses", {"license_type": "ours/standard", "unique_id": "ours-course"}, 409, None),
        ("POST", "/public-keys", {"institution": "ours", "key": ANOTHER_KEY, "kid": "ours-key"}, 409, None),
        ("POST", "/public-keys", {"institution": "ours", "key": "AAAA"}, 400, "key"),
        ("POST", f"{license_}/credits/grants", {"micro_credits": 0, "reason": "x"}, 400, "micro_credits"),
        ("POST", f"{license_}/credits/grants", {"micro_credits": 5}, 400, "reason"),
        (
            "POST",
            f"{license_}/credits/adjustments",
            {"micro_credits": 0, "reason": "x"},
            400,
            "micro_credits",
        ),
        (
            "POST",
            f"{license_}/credits/adjustments",
            {"micro_credits": -(10**12), "reason": "x"},
            409,
            "micro_credits",
        ),
        ("POST", f"{license_}/credits/refunds", {"request": "req-none", "reason": "x"}, 404, "request"),
        (
            "POST",
            f"{license_}/credits/refunds",
            {"request": world.ours.request, "reason": "x", "micro_credits": 10**6},
            409,
            None,
        ),
        (
            "POST",
            "/keys",
            {"license": world.ours.license, "expires_at": "2001-01-01T00:00:00Z"},
            400,
            "expires_at",
        ),
        (
            "POST",
            "/keys",
            {"license": world.ours.license, "expires_at": "2001-02-31T00:00:00Z"},
            400,
            "expires_at",
        ),
        ("POST", "/admin-keys", {"name": "x", "role": "operator", "institution": "ours"}, 400, "institution"),
        ("POST", "/admin-keys", {"name": "x", "role": "institution_admin"}, 400, "institution"),
        ("PATCH", f"/keys/{world.ours.key}", {}, 400, "name"),
        ("PATCH", license_, {"nme": "x"}, 400, "nme"),
        ("PATCH", license_, {"active": "no"}, 400, "active"),
    ]
    for method, path, body, status, param in refused:
        answer = gateway.say(method, path, world.secrets["operator"], body)
        assert answer.status_code == status, (path, body, answer.text)
        assert answer.json()["error"]["param"] == param, answer.text
    assert gateway.log() == log


def test_a_booking_says_who_and_why_in_the_ledger_and_counts_once_by_its_id(gateway: Gateway) -> None:
    path = f"/licenses/{gateway.world.ours.license}/credits"
    before = gateway.operate("GET", path.removesuffix("/credits"))
    grant = {"micro_credits": 500, "reason": "a gift", "id": "gift-1"}
    for _ in range(2):
        booked = gateway.operate("POST", f"{path}/grants", grant)
        assert booked["entry_id"] == "gift-1"
        assert booked["license"]["granted_micro_credits"] == before["granted_micro_credits"] + 500
    other = gateway.say(
        "POST", f"{path}/grants", gateway.world.secrets["operator"], grant | {"micro_credits": 1}
    )
    assert other.status_code == 409
    refund = {"request": gateway.world.ours.request, "reason": "it broke"}
    refunded = gateway.operate("POST", f"{path}/refunds", refund)
    assert refunded["license"]["used_micro_credits"] == 0
    entries = gateway.operate("GET", path)["data"]
    assert [entry["kind"] for entry in entries] == ["grant", "charge", "grant", "refund"]
    me = gateway.operate("GET", "/self")["id"]
    assert [(entry["actor"], entry["reason"]) for entry in entries[2:]] == [(me, "a gift"), (me, "it broke")]


def test_a_key_that_was_rotated_works_as_long_as_was_said(gateway: Gateway) -> None:
    first = gateway.operate("POST", "/admin-keys", {"name": "n", "role": "auditor"})
    path = f"/admin-keys/{first['admin_key_id']}"
    second = gateway.operate("POST", f"{path}/rotations", {"grace_seconds": 3600})
    assert gateway.say("GET", "/self", first["admin_key"]).status_code == 200
    assert gateway.say("GET", "/self", second["admin_key"]).status_code == 200
    assert gateway.operate("GET", path)["expires_at"] is not None
    gateway.operate("PATCH", path, {"active": False})
    assert gateway.say("GET", "/self", first["admin_key"]).status_code == 401
    again = gateway.say("POST", f"{path}/rotations", gateway.world.secrets["operator"], {})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "key_not_working")


# The log cannot be rewritten, and shows it where somebody does


@pytest.mark.parametrize("change", ["UPDATE audit_entry SET reason = 'x'", "DELETE FROM audit_entry"])
def test_the_database_refuses_to_change_the_log(gateway: Gateway, change: str) -> None:
    with (
        pytest.raises((DBAPIError, DatabaseUnusable)),
        open_engine(gateway.database_url).begin() as connection,
    ):
        connection.execute(text(change))


def test_no_entry_of_the_log_is_replaced(gateway: Gateway) -> None:
    if not gateway.database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL knows no REPLACE; its ON CONFLICT is an UPDATE")
    with (
        pytest.raises(DBAPIError, match="append-only"),
        open_engine(gateway.database_url).begin() as connection,
    ):
        connection.execute(text("REPLACE INTO audit_entry SELECT * FROM audit_entry"))


def tampered(url: str, *statements: str) -> None:
    """As somebody could who owns the database."""
    triggers = (
        ["DROP TRIGGER audit_entry_refuses_update", "DROP TRIGGER audit_entry_refuses_delete"]
        if url.startswith("sqlite")
        else ["DROP TRIGGER audit_entry_refuses_changes ON audit_entry"]
    )
    with open_engine(url).begin() as connection:
        for statement in (*triggers, *statements):
            connection.execute(text(statement))


COLUMNS = {
    "at": "at + 1",
    "actor_id": "'another'",
    "actor_name": "'another'",
    "role": "'auditor'",
    "origin": "'elsewhere'",
    "request_id": "'another'",
    "institution_id": "NULL",
    "action": "'another'",
    "target": "'another'",
    "target_id": "'another'",
    "reason": "'another'",
    "before": "'{}'",
    "after": "'{}'",
    "hash": "(SELECT hash FROM audit_entry WHERE seq = 1)",
}


def test_whatever_is_altered_in_the_log_shows(gateway: Gateway) -> None:
    entries = [row for row in gateway.log() if row.institution_id is not None]
    seq = entries[2].seq
    assert set(COLUMNS) == set(entries[0].__struct_fields__) - {"seq"}
    tampered(gateway.database_url, "CREATE TABLE kept AS SELECT * FROM audit_entry")
    engine = open_engine(gateway.database_url)
    for column, value in COLUMNS.items():
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE audit_entry SET {column} = {value} WHERE seq = {seq}"))
        found = list(gateway.desk.audit_breaks())
        assert found and f"entry {seq} " in found[0], (column, found)
        with engine.begin() as connection:
            was = f"(SELECT {column} FROM kept WHERE seq = {seq})"
            connection.execute(text(f"UPDATE audit_entry SET {column} = {was} WHERE seq = {seq}"))
        assert list(gateway.desk.audit_breaks()) == []


def test_an_entry_that_is_gone_shows(gateway: Gateway) -> None:
    tampered(gateway.database_url, "DELETE FROM audit_entry WHERE seq = 3")
    assert list(gateway.desk.audit_breaks()) == ["entry 3 is missing: 4 follows"]


# A crash between any two statements


class Crash(Exception):
    pass


def test_a_stop_between_any_two_statements_leaves_all_or_nothing(gateway: Gateway) -> None:
    """The act's rows, its booking in the ledger, its audit entry and its kept answer are one."""
    desk = Administration(gateway.database_url, CLOCK)
    verb = v.CreateLicense(license_type="ours/standard", unique_id="crashed")
    tables = ("license", "ledger_entry", "audit_entry", "admin_answer")
    engine = open_engine(gateway.database_url)

    def counts() -> list[int]:
        with engine.connect() as connection:
            return [connection.execute(text(f"SELECT count(*) FROM {t}")).scalar_one() for t in tables]

    before = counts()
    desk.do(ROOT, v.ShowSelf())
    statements = 0
    stop_at = 1

    def crash(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements == stop_at:
            raise Crash

    event.listen(desk._desk._engine, "before_cursor_execute", crash)
    while True:
        statements = 0
        try:
            desk.do(ROOT, verb, Repeat("crash"))
        except Crash:
            assert counts() == before, stop_at
            stop_at += 1
        else:
            break
    assert stop_at > 6
    event.remove(desk._desk._engine, "before_cursor_execute", crash)
    assert counts() == [count + 1 for count in before]
    desk.do(ROOT, verb, Repeat("crash"))
    assert counts() == [count + 1 for count in before]


def test_a_database_that_is_gone_is_told_as_that(gateway: Gateway) -> None:
    desk = Administration("sqlite:////nonexistent/folder/quantized.db", CLOCK)
    with pytest.raises(Fault, match="temporarily unavailable"):
        desk.do(ROOT, v.ListInstitutions())


def test_usage_is_added_up_within_what_one_may_see(gateway: Gateway) -> None:
    world = gateway.world
    use(gateway.database_url, world.ours.license, world.ours.key, 500, user_id="=cmd()", n=2)
    admin = world.ours.secrets["institution_admin"]
    for by in GROUPINGS:
        rows = gateway.say("GET", "/usage", admin, params={"by": by}).json()["data"]
        assert sum(row["charged_micro_credits"] for row in rows) == 1_500, by
        everything = gateway.operate("GET", "/usage", params={"by": by})["data"]
        assert sum(row["charged_micro_credits"] for row in everything) == 2_500, by
    table = gateway.say("GET", "/usage", admin, params={"by": "user", "format": "csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    lines = table.text.splitlines()
    assert lines[0].startswith("group,label,requests,")
    assert "'=cmd()" in table.text and not [line for line in lines if line.startswith("=")]
    one = gateway.say("GET", "/usage/requests", admin, params={"user_id": "=cmd()", "format": "csv"})
    assert len(one.text.splitlines()) == 2
