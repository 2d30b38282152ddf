"""Every endpoint, said by everybody: what is another institution's is not there, and who only reads changes
nothing."""

from typing import Any

import pytest
from admin_requests import PLACELESS, REQUESTS, wording
from admin_world import Gateway, Place

from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.administration import _READS, _WRITES
from quantized.administration.endpoints import ENDPOINTS, Endpoint

# Who is bounded by `ours`, and who is not.
BOUNDED = ("institution_admin", "auditor")
FREE = ("operator", "auditor")


def test_every_verb_has_an_endpoint_a_handler_and_a_request_of_its_own() -> None:
    said = {endpoint.verb for endpoint in ENDPOINTS}
    assert len(said) == len(ENDPOINTS)
    assert {*_READS, *_WRITES} == said
    reads = {endpoint.verb for endpoint in ENDPOINTS if endpoint.method == "GET" or endpoint.plans}
    assert reads == set(_READS)
    assert set(REQUESTS) == said
    kinds = (*vars(v).values(), *vars(rv).values())
    verbs = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, v.Verb)}
    assert verbs - {v.Verb, v.Listing, rv.Import} == said


def expected(endpoint: Endpoint, role: str, foreign: bool) -> int:
    if role not in endpoint.roles:
        return 403
    return 404 if foreign and endpoint.verb not in PLACELESS else endpoint.status


def told_of(gateway: Gateway, endpoint: Endpoint, place: Place, secret: str) -> tuple[int, str, Any]:
    path, rest = wording(endpoint, place)
    answer = gateway.say(endpoint.method, path, secret, **rest)
    return answer.status_code, answer.text, (path, rest)


def test_each_role_does_what_it_may_to_its_own_and_finds_nothing_of_others(gateway: Gateway) -> None:
    world = gateway.world
    for endpoint in ENDPOINTS:
        for role in BOUNDED:
            secret = world.ours.secrets[role]
            for place, foreign in ((world.ours, False), (world.theirs, True)):
                status, text, said = told_of(gateway, endpoint, place, secret)
                assert status == expected(endpoint, role, foreign), (endpoint.name, role, place.name, text)
                seen = {name for name in world.theirs.ids if name in text and name not in str(said)}
                assert not seen, (endpoint.name, role, text)
        for role in FREE:
            status, text, _ = told_of(gateway, endpoint, world.theirs, world.secrets[role])
            assert status == expected(endpoint, role, False), (endpoint.name, role, text)


def test_no_other_credential_opens_anything(gateway: Gateway) -> None:
    world = gateway.world
    alive = world.secrets["operator"]
    wrong = {
        "none": None,
        "an API key": world.ours.api_key,
        "deactivated": world.secrets["stopped"],
        "replaced": world.secrets["replaced"],
        "made up": "sk-quantized-admin-" + "A" * 43,
        "cut short": alive[:-1],
        "longer": alive + "A",
        "not ASCII": alive[:-1] + "é",
        "too long": "sk-quantized-admin-" + "A" * 600,
    }
    before = gateway.log()
    bodies = set()
    for endpoint in ENDPOINTS:
        path, rest = wording(endpoint, world.ours)
        for what, secret in wrong.items():
            header = {} if secret is None else {"authorization": f"Bearer {secret}".encode()}
            answer = gateway.say(endpoint.method, path, None, headers=header, **rest)
            assert answer.status_code == 401, (endpoint.name, what, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
            bodies.add(answer.text)
    assert len(bodies) == 1
    assert gateway.log() == before


def test_what_lists_show_to_whoever_is_bounded_is_theirs_alone(gateway: Gateway) -> None:
    secret = gateway.world.ours.secrets["institution_admin"]
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET" and not endpoint.in_path:
            answer = gateway.say("GET", endpoint.path, secret)
            assert answer.status_code == 200
            assert not [name for name in gateway.world.theirs.ids if name in answer.text], endpoint.name
            if endpoint.has_csv:
                table = gateway.say("GET", endpoint.path, secret, params={"format": "csv"})
                assert not [name for name in gateway.world.theirs.ids if name in table.text]


@pytest.mark.parametrize("reference", ["theirs", "theirs/standard", "theirs-course", "theirs-key"])
def test_an_alias_of_another_institution_means_nothing(gateway: Gateway, reference: str) -> None:
    secret = gateway.world.ours.secrets["institution_admin"]
    for path in ("institutions", "public-keys", "license-types", "licenses", "keys", "admin-keys"):
        answer = gateway.say("GET", f"/{path}/{reference.replace('/', '%2F')}", secret)
        assert answer.status_code == 404
    answer = gateway.say("POST", "/licenses", secret, {"license_type": reference})
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "license_type"


# Of a licence type: what is its institution's own to set, and what an operator bounds it by.
OWN: dict[str, Any] = {
    "name": "New",
    "default_micro_credits": 7,
    "stores_responses": False,
    "retention_days": 3,
    "token_models": True,
    "user_allowance_micro_credits": 5,
}
BOUNDS: dict[str, Any] = {
    "markup_bp": 1,
    "overrides": {},
    "allowed_models": None,
    "allowed_providers": None,
    "unlimited": True,
    "limits": {},
    "token_allowance_micro_credits": 5,
}


def test_an_institutions_admin_sets_what_is_its_own_and_no_more(gateway: Gateway) -> None:
    world = gateway.world
    secret = world.ours.secrets["institution_admin"]
    path = f"/license-types/{world.ours.license_type}"
    settable = set(v.UpdateLicenseType.__struct_fields__) - {"license_type"}
    assert settable <= {*OWN, *BOUNDS}
    own = {field: value for field, value in OWN.items() if field in settable}
    assert gateway.say("PATCH", path, secret, own).status_code == 200
    for field in settable & BOUNDS.keys():
        answer = gateway.say("PATCH", path, secret, {"name": "Newer", field: BOUNDS[field]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (403, field)
    assert gateway.operate("GET", path)["name"] == "New"
    unlimited = {"license_type": world.ours.license_type, "unlimited": True}
    assert gateway.say("POST", "/licenses", secret, unlimited).status_code == 403


def test_an_institutions_admin_rotates_its_own_admin_key_and_no_other(gateway: Gateway) -> None:
    world = gateway.world
    colleague = gateway.operate(
        "POST", "/admin-keys", {"name": "colleague", "role": "auditor", "institution": "ours"}
    )
    secret = world.ours.secrets["institution_admin"]
    path = f"/admin-keys/{colleague['admin_key_id']}/rotations"
    assert gateway.say("POST", path, secret, {}).status_code == 403
    rotated = gateway.say("POST", f"/admin-keys/{world.ours.admin_key}/rotations", secret, {})
    assert rotated.status_code == 201
    assert gateway.say("GET", "/self", secret).status_code == 401
    new = gateway.say("GET", "/self", rotated.json()["admin_key"])
    assert (new.json()["role"], new.json()["institution_id"]) == ("institution_admin", world.ours.institution)
