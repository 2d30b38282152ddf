"""What an administrator could do that nobody should, and names that administrators have to be able to say."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from contextlib import closing
from typing import Any

import pytest
from admin_world import CLOCK, ROOT, Gateway, use
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from quantized.administration import verbs as v
from quantized.administration.actor import Actor
from quantized.administration.faults import NotThere
from quantized.administration.words import iso_time
from quantized.auth.ended_tokens import EndedTokens
from quantized.storage.tokens import FirstUse, SqlTokenStore

LONG = "ü\u00a0" + "\U0001f393" * 198
"""A name as tokens may give one, as long as it can be."""


def raw_key() -> bytes:
    return Ed25519PrivateKey.generate().public_key().public_bytes_raw()


def refused(gateway: Gateway, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any, Any]:
    answer = gateway.say(method, path, gateway.world.secrets["operator"], body, **more)
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def first_use(gateway: Gateway, license_type: str, name: str, **more: Any) -> str:
    """The id of the key that a token's first use makes."""
    key_id = f"key-{name[:20]}-{CLOCK.now_ms()}"
    values: dict[str, Any] = {"credits": None, "unlimited": False, "models": None, "expires_at": None, **more}
    admitted = FirstUse(
        digest=key_id.encode(),
        public_key_id=gateway.world.ours.public_key,
        license_type_id=license_type,
        key_id=key_id,
        unique_id=name,
        user_id=name,
        salt=None,
        jti=name,
        now=CLOCK.now_ms(),
        **values,
    )
    with closing(SqlTokenStore(gateway.database_url)) as tokens:
        assert asyncio.run(tokens.admit(admitted)) is None
    return key_id


def test_what_stands_for_a_token_is_not_rotated_into_a_key_without_its_bounds(gateway: Gateway) -> None:
    token = first_use(gateway, gateway.world.ours.license_type, "bounded", models=("quantized/*",))
    assert refused(gateway, "POST", f"/keys/{token}/rotations", {}) == (409, "signed_token", None)
    assert len(gateway.operate("GET", "/keys", params={"license": "bounded"})["data"]) == 1


def test_no_more_public_keys_than_are_tried_are_in_use_by_whatever_way(gateway: Gateway) -> None:
    def register(**more: str) -> str:
        said = {"institution": "ours", "key": b64encode(raw_key()).decode(), **more}
        made: str = gateway.operate("POST", "/public-keys", said)["public_key_id"]
        return made

    register(), register()
    stopped = register()
    gateway.operate("PATCH", f"/public-keys/{stopped}", {"active": False})
    for _ in range(5):
        register()
    conflict = (409, "already_exists", None)
    path = f"/public-keys/{stopped}"
    assert refused(gateway, "PATCH", path, {"active": True}) == conflict
    # Of one that is in use already nothing is refused.
    in_use = gateway.operate("GET", "/public-keys", params={"institution": "ours", "active": True})["data"]
    assert len(in_use) == 8
    gateway.operate("PATCH", f"/public-keys/{in_use[0]['public_key_id']}", {"active": True})
    gateway.operate("PATCH", path, {"expires_at": "2099-01-01T00:00:00Z"})
    assert refused(gateway, "PATCH", path, {"expires_at": None, "active": True}) == conflict


@pytest.mark.parametrize("kid", ["a\x00b", "\ud800"])
def test_a_keys_own_name_is_one_that_tokens_can_say(gateway: Gateway, kid: object) -> None:
    x = urlsafe_b64encode(raw_key()).rstrip(b"=").decode()
    jwk = json.dumps({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid})
    body = {"institution": "ours", "key": jwk}
    assert refused(gateway, "POST", "/public-keys", body) == (400, "invalid_value", "key")


def test_a_bookings_own_id_is_its_licences(gateway: Gateway) -> None:
    world = gateway.world
    before = len(gateway.log())
    for place in (world.ours, world.theirs):
        for _ in range(2):
            said = {"micro_credits": 5, "reason": "the second half", "id": "grant-2027-ss"}
            secret = place.secrets["institution_admin"]
            booked = gateway.say("POST", f"/licenses/{place.license}/credits/grants", secret, said)
            assert booked.status_code == 201, booked.text
            assert booked.json()["entry_id"] == "grant-2027-ss"
        entries = gateway.operate("GET", f"/licenses/{place.license}/credits")["data"]
        assert [entry["entry_id"] for entry in entries].count("grant-2027-ss") == 1
    # What was only repeated is in no log.
    assert len(gateway.log()) == before + 2
    refund = {"request": world.ours.request, "reason": "it broke", "id": "grant-2027-ss"}
    path = f"/licenses/{world.ours.license}/credits/refunds"
    assert refused(gateway, "POST", path, refund)[:2] == (409, "booking_refused")
    for _ in range(2):
        assert gateway.operate("POST", path, refund | {"id": "back"})["refunded_micro_credits"] == 1_000
    assert len(gateway.log()) == before + 3


def test_an_id_that_was_booked_before_ids_were_licences_counts_as_it_did(gateway: Gateway) -> None:
    ours = gateway.world.ours.license
    path = f"/licenses/{ours}/credits"
    (first, _) = gateway.operate("GET", path)["data"]
    assert first["entry_id"] == f"grant-first-{ours}"
    again = {"micro_credits": first["micro_credits"], "reason": "again", "id": first["entry_id"]}
    gateway.operate("POST", f"{path}/grants", again)
    assert len(gateway.operate("GET", path)["data"]) == 2


@pytest.mark.parametrize("kind", ["key", "admin-key"])
def test_a_key_has_one_successor_and_both_are_in_the_log(gateway: Gateway, kind: str) -> None:
    made = {
        "key": lambda: gateway.operate("POST", "/keys", {"license": "ours-course"})["key_id"],
        "admin-key": lambda: gateway.operate("POST", "/admin-keys", {"name": "n", "role": "auditor"})[
            "admin_key_id"
        ],
    }[kind]()
    rotations = f"/{kind}s/{made}/rotations"
    grace = {"grace_seconds": 30 * 86_400}
    assert refused(gateway, "POST", rotations, {"grace_seconds": 30 * 86_400 + 1})[2] == "grace_seconds"
    gateway.operate("POST", rotations, grace)
    assert refused(gateway, "POST", rotations, grace) == (409, "already_rotated", None)
    (of_old, *_) = gateway.operate("GET", "/audit-log", params={"target": made})["data"]
    assert of_old["before"]["expires_at"] is None
    assert of_old["after"]["expires_at"] is not None


def test_a_rotated_key_never_outlives_its_own_expiry(gateway: Gateway) -> None:
    soon = iso_time(CLOCK.now_ms() + 60_000)
    made = gateway.operate("POST", "/keys", {"license": "ours-course", "expires_at": soon})["key_id"]
    assert gateway.operate("POST", f"/keys/{made}/rotations", {"grace_seconds": 3600})["expires_at"] == soon
    assert gateway.operate("GET", f"/keys/{made}")["expires_at"] == soon


def test_an_admin_has_two_keys_at_most_by_rotating(gateway: Gateway) -> None:
    place = gateway.world.ours
    first = place.secrets["institution_admin"]
    second = gateway.say(
        "POST", f"/admin-keys/{place.admin_key}/rotations", first, {"grace_seconds": 3600}
    ).json()
    path = f"/admin-keys/{second['admin_key_id']}/rotations"
    third = gateway.say("POST", path, second["admin_key"], {"grace_seconds": 3600})
    assert (third.status_code, third.json()["error"]["code"]) == (409, "predecessor_works")
    gateway.operate("PATCH", f"/admin-keys/{place.admin_key}", {"active": False})
    assert gateway.say("POST", path, second["admin_key"], {"grace_seconds": 3600}).status_code == 201


def test_names_that_tokens_bring_are_found_filtered_and_paged(gateway: Gateway) -> None:
    ours = gateway.world.ours
    first_use(gateway, ours.license_type, LONG)
    gateway.operate("POST", "/keys", {"license": ours.license, "user_id": LONG})
    use(gateway.database_url, ours.license, ours.key, 500, user_id=LONG, n=2)
    gateway.operate("POST", "/revoked-tokens", {"institution": "ours", "jti": LONG})
    gateway.operate("POST", "/revoked-tokens", {"institution": "ours", "jti": "z"})
    for path, query in (
        ("/usage", {"user_id": LONG}),
        ("/usage/requests", {"user_id": LONG}),
        ("/licenses", {"unique_id": LONG}),
        ("/audit-log", {"target": LONG}),
    ):
        assert len(gateway.operate("GET", path, params=query)["data"]) == 1, path
    allowances = f"/licenses/{ours.license}/allowances"
    for user in (LONG, '"' * 200, "\\" * 200, "\U0001f393\u2028x"):
        gateway.operate("POST", allowances, {"user_id": user, "micro_credits": 5})
    for path in (allowances, "/revoked-tokens"):
        seen, cursor = [], {}
        while cursor is not None:
            page = gateway.operate("GET", path, params={"limit": 1, **cursor})
            seen += page["data"]
            cursor = {"cursor": page["next_cursor"]} if page["has_more"] else None
        assert len(seen) == len(gateway.operate("GET", path)["data"])
    nul = urlsafe_b64encode(b'["users","a\\u0000"]').decode().rstrip("=")
    half = urlsafe_b64encode(b'["users","\\ud800"]').decode().rstrip("=")
    for bad in (nul, half):
        assert refused(gateway, "GET", allowances, params={"cursor": bad})[2] == "cursor"


def test_the_beginning_of_an_id_changes_nothing_over_http(gateway: Gateway) -> None:
    ours = gateway.world.ours
    begins = ours.license[:20]
    assert gateway.operate("GET", f"/licenses/{begins}")["license_id"] == ours.license
    for method, path, body in (
        ("PATCH", f"/licenses/{begins}", {"name": "x"}),
        ("POST", "/keys", {"license": begins}),
        ("POST", f"/keys/{ours.key[:20]}/rotations", {}),
        ("POST", f"/licenses/{begins}/credits/grants", {"micro_credits": 1, "reason": "x"}),
    ):
        assert refused(gateway, method, path, body)[0] == 404, path
    gateway.desk.do(ROOT, v.UpdateLicense(license=ours.license[:8], name="typed"))
    with pytest.raises(NotThere):
        gateway.desk.do(ROOT, v.UpdateLicense(license=ours.license[:7], name="typed"))
    elsewhere = Actor("adm_1", "Ann", "operator", "127.0.0.1")
    with pytest.raises(NotThere):
        gateway.desk.do(elsewhere, v.UpdateLicense(license=ours.license[:8], name="typed"))


def test_an_allowance_that_nobody_has_is_not_taken_away(gateway: Gateway) -> None:
    path = f"/licenses/{gateway.world.ours.license}/allowances"
    assert refused(gateway, "POST", path, {"user_id": "nobody", "micro_credits": None})[0] == 404
    assert "nobody" not in str(gateway.operate("GET", path)["data"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"license": "ours-course", "name": "a", "name": "b"}', "name"),
        (b'{"license": "theirs-course", "name": "a", "license": "ours-course"}', "license"),
    ],
)
def test_what_is_said_twice_is_refused_by_name(gateway: Gateway, body: bytes, param: str) -> None:
    before = gateway.log()
    headers = {"authorization": f"Bearer {gateway.world.secrets['operator']}"}
    answer = gateway.client.post("/admin/v1/keys", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "repeated")
    assert answer.json()["error"]["param"] == param
    assert gateway.log() == before


def test_keys_of_tokens_that_ended_long_ago_are_removed_and_what_they_used_stays(gateway: Gateway) -> None:
    ours, now, day = gateway.world.ours, CLOCK.now_ms(), 86_400_000
    ends = {"long ago": now - 31 * day, "ended": now - 29 * day, "never": None}
    keys = {
        name: first_use(gateway, ours.license_type, name, expires_at=at, unlimited=True)
        for name, at in ends.items()
    }
    licenses = gateway.operate("GET", "/licenses", params={"unique_id": "long ago"})["data"]
    use(gateway.database_url, licenses[0]["license_id"], keys["long ago"], 500)
    with closing(SqlTokenStore(gateway.database_url)) as tokens:
        assert asyncio.run(EndedTokens(tokens, CLOCK).sweep()) == 1
        assert asyncio.run(EndedTokens(tokens, CLOCK).sweep()) == 0
    left = {row["key_id"] for row in gateway.operate("GET", "/keys")["data"]}
    assert left == {ours.key, gateway.world.theirs.key, keys["ended"], keys["never"]}
    by_key = gateway.operate("GET", "/usage", params={"by": "key"})["data"]
    removed = [(row["label"], row["charged_micro_credits"]) for row in by_key if row["group"] not in left]
    assert removed == [("ended token", 500)]
    assert keys["long ago"] in str(gateway.operate("GET", "/usage/requests")["data"])
