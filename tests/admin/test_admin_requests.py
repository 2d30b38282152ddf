"""What a request may look like, and what it is told when it does not: lists, repeats, wrong words."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import pytest
from admin_world import CLOCK, ROOT, Gateway, served, use
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from plain_http import HTTP

from quantized.admin.openapi import description
from quantized.administration import cursors
from quantized.administration import verbs as v
from quantized.administration.actor import Actor
from quantized.administration.administration import Administration
from quantized.administration.endpoints import ENDPOINTS, PREFIX
from quantized.administration.faults import Unfit
from quantized.administration.port import Repeat

# Pages


def pages(gateway: Gateway, path: str, **params: Any) -> Iterator[list[Any]]:
    while True:
        page = gateway.operate("GET", path, params=params)
        assert page["has_more"] == (page["next_cursor"] is not None)
        yield page["data"]
        if not page["has_more"]:
            return
        params["cursor"] = page["next_cursor"]


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
def test_pages_show_each_row_once_while_others_are_made(gateway: Gateway, limit: int) -> None:
    for number in range(9):
        gateway.desk.do(ROOT, v.CreateLicense(license_type="ours/standard", unique_id=f"c{number}"))
    there = {row["license_id"] for page in pages(gateway, "/licenses", limit=200) for row in page}
    assert len(there) == 11
    seen: list[str] = []
    for number, page in enumerate(pages(gateway, "/licenses", limit=limit)):
        assert len(page) <= limit
        seen += [row["license_id"] for row in page]
        if number < 5:
            gateway.desk.do(ROOT, v.CreateLicense(license_type="theirs/standard"))
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


def test_rows_of_one_moment_are_told_apart_by_their_ids(gateway: Gateway) -> None:
    class Still:
        def now_ms(self) -> int:
            return 1_800_000_000_000

        def monotonic(self) -> float:
            return 0.0

    desk = Administration(gateway.database_url, Still())
    for number in range(7):
        desk.do(ROOT, v.CreateKey(license=gateway.world.ours.license, name=f"k{number}"))
        desk.do(ROOT, v.RevokeToken(institution="ours", jti=f"jti-{number}"))
        use(gateway.database_url, gateway.world.ours.license, gateway.world.ours.key, 1, n=number + 10)
    for path, field in (
        ("/keys", "key_id"),
        ("/revoked-tokens", "jti"),
        ("/usage/requests", "hold_id"),
        (f"/licenses/{gateway.world.ours.license}/credits", "seq"),
        ("/audit-log", "seq"),
    ):
        whole = [row[field] for page in pages(gateway, path, limit=200) for row in page]
        assert len(whole) >= 7
        assert [row[field] for page in pages(gateway, path, limit=2) for row in page] == whole, path


@pytest.mark.parametrize(
    "cursor", ["x", "AAAA", "W10", "WyJsaWNlbmNlIixbMSwiYSJdXQ", "é", "a" * 500, "WyJrZXkiLFstMSwiYSJdXQ"]
)
def test_a_cursor_that_is_none_of_this_list_is_refused_by_name(gateway: Gateway, cursor: str) -> None:
    answer = gateway.say("GET", "/keys", gateway.world.secrets["operator"], params={"cursor": cursor})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cursor"), answer.text


@given(
    st.text(alphabet="ABCabc019_-", max_size=60)
    | st.binary(max_size=40).map(lambda raw: cursors.write(raw.hex(), 1))
)
@settings(max_examples=200, deadline=None)
def test_any_cursor_is_read_or_refused(cursor: str) -> None:
    try:
        cursors.read(cursor, "key", tuple[int, str])
    except Unfit as fault:
        assert fault.param == "cursor"


def test_filters_narrow_lists(gateway: Gateway) -> None:
    ours = gateway.world.ours
    gateway.operate("PATCH", f"/keys/{ours.key}", {"active": False})
    assert [row["key_id"] for row in gateway.operate("GET", "/keys", params={"active": "false"})["data"]] == [
        ours.key
    ]
    found = gateway.operate("GET", "/licenses", params={"unique_id": "ours-course"})["data"]
    assert [row["license_id"] for row in found] == [ours.license]
    log = gateway.operate("GET", "/audit-log", params={"target": ours.key, "action": "updateKey"})["data"]
    assert [row["after"]["active"] for row in log] == [False]
    later = {"since": "2999-01-01"}
    for path in ("/audit-log", "/usage", "/usage/requests"):
        assert gateway.operate("GET", path, params=later)["data"] == []


# Saying it again


def test_a_request_that_is_repeated_in_parallel_is_done_once(gateway: Gateway) -> None:
    secret = gateway.world.secrets["operator"]
    before = len(gateway.log())
    path = f"/licenses/{gateway.world.ours.license}/credits/grants"
    body = {"micro_credits": 100, "reason": "more"}

    def say(_: int) -> Any:
        return gateway.say("POST", path, secret, body, headers={"idempotency-key": "one"})

    with ThreadPoolExecutor(20) as many:
        answers = list(many.map(say, range(20)))
    assert [answer.status_code for answer in answers] == [201] * 20
    assert len({answer.text for answer in answers}) == 1
    replayed = [answer.headers.get("idempotent-replayed") for answer in answers]
    assert sorted(map(str, replayed)) == ["None"] + ["true"] * 19
    assert len(gateway.log()) == before + 1
    row = gateway.operate("GET", f"/licenses/{gateway.world.ours.license}")
    assert row["granted_micro_credits"] == 1_000_000 + 100


def test_a_key_with_another_request_is_refused(gateway: Gateway) -> None:
    headers = {"idempotency-key": "one"}
    first = gateway.operate("POST", "/institutions", {"alias": "first"}, headers=headers)
    secret = gateway.world.secrets["operator"]
    for path, body in (("/institutions", {"alias": "second"}), ("/keys", {"license": "ours-course"})):
        other = gateway.say("POST", path, secret, body, headers=headers)
        assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
        assert other.json()["error"]["param"] == "Idempotency-Key"
    # Other words for the same are the same.
    spaced = gateway.say(
        "POST", "/institutions", None, content=b' {"name": null,  "alias":"first"} ',
        headers=headers | {"authorization": f"Bearer {secret}"},
    )  # fmt: skip
    assert spaced.json() == first
    # Another's key is another key.
    mine = gateway.world.ours.secrets["institution_admin"]
    assert gateway.say("POST", "/keys", mine, {"license": "ours-course"}, headers=headers).status_code == 201


def test_a_secret_is_shown_once_also_to_whoever_asks_again(gateway: Gateway) -> None:
    headers = {"idempotency-key": "one"}
    first = gateway.operate("POST", "/keys", {"license": "ours-course"}, headers=headers)
    second = gateway.operate("POST", "/keys", {"license": "ours-course"}, headers=headers)
    assert first["api_key"].startswith("sk-quantized-")
    assert second == first | {"api_key": None}


def test_a_refusal_is_not_kept(gateway: Gateway) -> None:
    headers = {"idempotency-key": "one"}
    body = {"license_type": "ours/later"}
    secret = gateway.world.secrets["operator"]
    assert gateway.say("POST", "/licenses", secret, body, headers=headers).status_code == 404
    gateway.operate("POST", "/license-types", {"institution": "ours", "alias": "later"})
    assert gateway.say("POST", "/licenses", secret, body, headers=headers).status_code == 201


def test_what_was_answered_is_kept_for_a_day(gateway: Gateway) -> None:
    class Later:
        ahead = 0

        def now_ms(self) -> int:
            return CLOCK.now_ms() + self.ahead

        def monotonic(self) -> float:
            return 0.0

    clock = Later()
    desk = Administration(gateway.database_url, clock)
    verb = v.CreateKey(license="ours-course")
    first = desk.do(ROOT, verb, Repeat("one"))
    clock.ahead = 23 * 3_600_000
    assert desk.do(ROOT, verb, Repeat("one")).key_id == first.key_id
    clock.ahead = 25 * 3_600_000
    assert desk.do(ROOT, verb, Repeat("one")).key_id != first.key_id


# Words


def test_wrong_words_are_refused_by_name_with_what_would_work(gateway: Gateway) -> None:
    secret = gateway.world.secrets["operator"]
    for method, path, more, param, hint in (
        ("POST", "/keys", {"body": {"license": "ours-course", "nam": "x"}}, "nam", "Did you mean 'name'?"),
        ("POST", "/keys", {"body": {}}, "license", "Missing required field"),
        ("POST", "/keys?limit=3", {"body": {"license": "ours-course"}}, "limit", "in the body"),
        ("GET", "/keys", {"params": {"limt": 3}}, "limt", "Did you mean 'limit'?"),
        ("GET", "/keys", {"params": {"limit": 0}}, "limit", "from 1 to 200"),
        ("GET", "/keys", {"params": {"limit": "many"}}, "limit", "an integer"),
        ("GET", "/keys?limit=1&limit=2", {}, "limit", "more than once"),
        ("GET", "/keys", {"params": {"active": "yes"}}, "active", "true or false"),
        ("GET", "/keys", {"params": {"format": "csv"}}, "format", "Unknown field"),
        ("GET", "/usage", {"params": {"by": "week"}}, "by", "'day'"),
        ("GET", "/usage", {"params": {"format": "xml"}}, "format", "'csv'"),
        ("GET", "/usage/requests", {"params": {"format": "csv", "limit": 3}}, "limit", "all that there is"),
        ("GET", "/usage", {"params": {"since": "2026-13-01"}}, "since", "no such moment"),
        ("POST", "/keys", {"body": {"license": "a\u0000b"}}, "license", "matches"),
        ("POST", "/keys", {"headers": {"idempotency-key": "a b"}}, "Idempotency-Key", "printable"),
    ):  # fmt: skip
        answer = gateway.say(method, path, secret, **more)  # type: ignore[arg-type]
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param), answer.text
        assert hint in error["message"], error
        assert set(error) == {"message", "type", "code", "param"}


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b'{"license": NaN}', b"null", b'{"a":' * 5_000])
def test_a_body_that_is_no_object_is_refused(gateway: Gateway, body: bytes) -> None:
    headers = {"authorization": f"Bearer {gateway.world.secrets['operator']}"}
    answer = gateway.say("POST", "/keys", None, content=body, headers=headers)
    assert answer.status_code == 400, answer.text


def test_a_body_that_is_too_large_is_refused_and_one_of_a_stranger_is_not_read(gateway: Gateway) -> None:
    body = b" " * (1024 * 1024 + 1)
    headers = {"authorization": f"Bearer {gateway.world.secrets['operator']}"}
    assert gateway.say("POST", "/keys", None, content=body, headers=headers).status_code == 413
    assert gateway.say("POST", "/keys", None, content=body).status_code == 401


def test_answers_are_nobodys_to_keep_and_carry_their_request_id(gateway: Gateway) -> None:
    answer = gateway.say("GET", "/self", gateway.world.secrets["operator"])
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"].startswith("req-")
    (line,) = gateway.told(answer.headers["x-request-id"])
    assert (line.status, line.key_id) == (200, answer.json()["id"])


class Stuck:
    """An administration that answers when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = threading.Semaphore(0)

    def do(self, actor: Actor, verb: v.Verb[Any], repeat: Repeat | None = None) -> Any:
        raise NotImplementedError

    def actor(self, secret: str, origin: str, request_id: str | None) -> Actor:
        self.asked.release()
        self.go.wait(50)
        raise Unfit("x", "late")

    def close(self) -> None:
        pass


def first_answers() -> list[int]:
    """Of 80 requests at once, while nobody is served: the first 16."""
    stuck = Stuck()
    with served(lambda: stuck) as port, ThreadPoolExecutor(80) as many:

        def ask(_: int) -> int:
            return HTTP.get(
                f"http://127.0.0.1:{port}{PREFIX}/self", headers={"authorization": "Bearer x"}
            ).status_code

        asked = [many.submit(ask, number) for number in range(80)]
        answered = as_completed(asked, timeout=50)
        first = [next(answered).result() for _ in range(16)]
        stuck.go.set()
        assert {future.result() for future in answered} <= {400, 429, 503}
    return first


def test_more_requests_than_can_wait_are_sent_away_at_once() -> None:
    """64 wait; the others are answered while nobody else is. Where the machine takes so long to send them all
    that some have waited enough before, it is tried again."""
    for _ in range(6):
        if (first := first_answers()) == [429] * 16:
            return
    raise AssertionError(first)


def test_a_database_that_hangs_is_told_in_time() -> None:
    stuck = Stuck()
    headers = {"authorization": "Bearer x"}
    with served(lambda: stuck) as port:
        answer = HTTP.get(f"http://127.0.0.1:{port}{PREFIX}/self", headers=headers)
        stuck.go.set()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.elapsed.total_seconds() < 20
    assert answer.json()["error"]["code"] == "service_unavailable"


# The description


def test_the_description_is_served_and_is_what_is_routed(gateway: Gateway) -> None:
    served_ = gateway.client.get(f"{PREFIX}/openapi.json")
    assert served_.content == description()
    document = json.loads(served_.content)
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(endpoint.method, PREFIX + endpoint.path) for endpoint in ENDPOINTS}
    assert gateway.client.get("/docs/admin").status_code == 200
    assert "/admin/v1/openapi.json" in gateway.client.get("/docs/admin/start.js").text


def test_the_description_is_one() -> None:
    validate(json.loads(description()))
