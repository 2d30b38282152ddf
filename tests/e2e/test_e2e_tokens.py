"""Signed tokens at a gateway of two processes, on both databases: what students and forgers see."""

import asyncio
import hmac
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import jwt as pyjwt
import pytest
from campus import base64url, campus, encoded, private_key, public_key, sign
from chat_client import CHAT
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from database_copies import KINDS, PostgresDatabases
from gateway_process import GatewayProcess, eventually
from in_time import PAUSE
from plain_sql import rows

from quantized.administration.actor import command_line
from quantized.administration.administration import Administration
from quantized.administration.verbs import CreateInstitution, CreateLicenseType, CreatePublicKey
from quantized.auth.public_keys import to_pem
from quantized.clock import SystemClock

Gateways = Callable[..., GatewayProcess]
CREDITS = 2_000_000
CLAIMS = b'{"institution_id":"uni","license_type_id":"course"}'
LIMIT = 2.0
"""Seconds that a change may take."""


class Campus(NamedTuple):
    gateway: GatewayProcess
    key_ids: Mapping[int, str]

    def many(self) -> httpx.AsyncClient:
        """Requests that each have a connection of their own, so that they reach both processes."""
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=0)
        return httpx.AsyncClient(base_url=self.gateway.url, timeout=50, verify=False, limits=limits)

    def statuses(self, token: str, count: int = 16) -> Counter[int]:
        async def ask() -> Counter[int]:
            async with self.many() as client:
                answers = [client.get("/v1/license", headers=bearer(token)) for _ in range(count)]
                return Counter([answer.status_code for answer in await asyncio.gather(*answers)])

        return asyncio.run(ask())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module", params=KINDS)
def two(
    request: pytest.FixtureRequest, make_gateway: Gateways, postgres: Callable[[], PostgresDatabases]
) -> Iterator[Campus]:
    with ExitStack() as resources:
        environ = {}
        if request.param == "postgresql":
            databases = postgres()
            name = databases.create()
            resources.callback(databases.drop, name)
            environ["QUANTIZED_DATABASE_URL"] = databases.url_of(name)
        gateway = make_gateway("workers = 2", **environ)
        desk, key_ids = Administration(gateway.database_url, SystemClock()), {}
        with desk.together(command_line("root", "here")) as say:
            for institution, type_, seeds in (("uni", "course", (1, 2)), ("school", "class", (3,))):
                say(CreateInstitution(alias=institution))
                say(CreateLicenseType(institution=institution, alias=type_, default_micro_credits=CREDITS))
                for seed in seeds:
                    pem = to_pem(public_key(seed).public_bytes_raw())
                    made = say(CreatePublicKey(institution=institution, key=pem, kid=f"k{seed}"))
                    key_ids[seed] = made.public_key_id
        gateway.start()
        yield Campus(gateway, key_ids)
        assert gateway.stop() == 0


def found(two: Campus, unique_id: str) -> list[tuple[Any, ...]]:
    statement = "SELECT id, granted, entries FROM license WHERE unique_id = ?"
    return rows(two.gateway.database_url, statement, unique_id)


def body(two: Campus, content: str = "What is the capital of France?") -> dict[str, Any]:
    return {"model": "hostile/plain", "messages": [{"role": "user", "content": content}]}


async def test_a_hundred_first_requests_on_two_processes_are_one_licence_with_one_grant(two: Campus) -> None:
    tokens = [sign(campus(unique_id="race", user_id=name)) for name in ("ann", "ben")]
    async with two.many() as client:
        asking = [
            client.post(CHAT, json=body(two), headers=bearer(tokens[number % 2])) for number in range(100)
        ]
        answers = await asyncio.gather(*asking)
    assert {answer.status_code for answer in answers} == {200}
    spent = sum(answer.json()["usage"]["credits_used"] for answer in answers)
    assert len(found(two, "race")) == 1
    license_id = found(two, "race")[0][0]
    url = two.gateway.database_url

    def settled() -> bool:
        return not rows(url, "SELECT 1 FROM hold WHERE license_id = ? AND state = 'open'", license_id)

    await asyncio.to_thread(eventually, settled, "every hold ended")
    entries = rows(url, "SELECT kind, amount FROM ledger_entry WHERE license_id = ?", license_id)
    assert [entry[1] for entry in entries if entry[0] == "grant"] == [CREDITS]
    assert sum(entry[1] for entry in entries if entry[0] == "charge") == spent
    keys = rows(url, "SELECT user_id FROM api_key WHERE license_id = ? ORDER BY user_id", license_id)
    assert keys == [("ann",), ("ben",)]
    users = rows(url, "SELECT user_id FROM usage_record WHERE license_id = ?", license_id)
    assert Counter(users) == {("ann",): 50, ("ben",): 50}
    workers = {line["worker"] for line in two.gateway.log() if line.get("license_id") == license_id}
    assert workers == {1, 2}


def test_the_token_of_a_library_works_everywhere_that_a_key_does(two: Campus) -> None:
    claims = {**campus(unique_id="library"), "exp": int(time.time()) + 600, "iat": int(time.time())}
    token = pyjwt.encode(claims, private_key(2), algorithm="EdDSA", headers={"kid": "k2"})
    with httpx.Client(base_url=two.gateway.url, headers=bearer(token), timeout=50, verify=False) as client:
        licence = client.get("/v1/license").json()
        assert (licence["unique_id"], licence["available_micro_credits"]) == ("library", CREDITS)
        assert client.get("/v1/models").json()["data"]
        answer = client.post("/v1/responses", json={"model": "hostile/plain", "input": "Hi"})
        assert answer.status_code == 200, answer.text
        assert client.get(f"/v1/responses/{answer.json()['id']}").status_code == 200
    inspected = two.gateway.cli("jwt", "inspect", token)
    assert (inspected["accepted"], inspected["used_before"]) == (True, True)
    assert inspected["license_id"] == licence["license_id"]


def forgeries() -> dict[str, str]:
    """The usual list."""
    now = int(time.time())
    good = sign(campus(unique_id="victim"))
    head, claims, signature = good.split(".")
    pem = public_key(1).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    own = {"kty": "OKP", "crv": "Ed25519", "x": base64url(public_key(77).public_bytes_raw())}
    hs256 = json.dumps({"alg": "HS256", "typ": "JWT"}).encode()
    hs_signed = f"{base64url(hs256)}.{claims}"
    return {
        "none": f"{encoded({'alg': 'none'})}.{claims}.",
        "none with the signature": f"{encoded({'alg': 'nOnE'})}.{claims}.{signature}",
        "hs256 by pem": f"{hs_signed}.{base64url(hmac.digest(pem, hs_signed.encode(), 'sha256'))}",
        "another institution's key": sign(campus(unique_id="victim"), seed=3),
        "nobody's key": sign(campus(unique_id="victim"), seed=77),
        "altered": f"{head}.{encoded(campus(unique_id='other'))}.{signature}",
        "expired": sign(campus(exp=now - 1)),
        "not yet": sign(campus(nbf=now + 3_600)),
        "from the future": sign(campus(iat=now + 3_600)),
        "a text for a time": sign(campus(exp="4102444800")),
        "true for a time": sign(campus(exp=True)),
        "milliseconds": sign(campus(exp=(now + 60) * 1_000)),
        "two institutions": sign(
            b'{"institution_id":"uni","institution_id":"uni","license_type_id":"course"}'
        ),
        "another institution's type": sign(campus(license_type_id="class")),
        "no such institution": sign(campus(institution_id="nowhere")),
        "wishes": sign(campus(allowance=10**9)),
        "huge": sign(campus(own="x" * 9_000)),
        "deep": sign(
            b'{"institution_id":"uni","license_type_id":"course","own":' + b"[" * 2_500 + b"]" * 2_500 + b"}"
        ),
        "unknown kid": sign(campus(), {"alg": "EdDSA", "kid": "../../dev/null"}),
        "crit": sign(campus(), {"alg": "EdDSA", "crit": ["b64"], "b64": False}),
        "its own key": sign(campus(), {"alg": "EdDSA", "jwk": own}, seed=77),
        "cut": good[:-1],
        "padded": f"{good}==",
        "a dot more": f"{good}.",
        "spaces": good.replace(".", " ."),
        "nothing": "..",
    }


def test_every_forgery_reads_the_same_outside_and_leaves_nothing_behind(two: Campus) -> None:
    url = two.gateway.database_url
    count = "SELECT (SELECT count(*) FROM license), (SELECT count(*) FROM api_key)"
    before = rows(url, count)
    attacks = forgeries()
    with httpx.Client(base_url=two.gateway.url, timeout=50, verify=False) as client:
        refused = {
            name: client.post(CHAT, json=body(two), headers=bearer(token)) for name, token in attacks.items()
        }
        known = client.post(CHAT, json=body(two), headers=bearer("sk-quantized-nobody"))
    assert {name: answer.status_code for name, answer in refused.items()} == dict.fromkeys(attacks, 401)
    assert {answer.content for answer in refused.values()} == {known.content}
    assert known.json()["error"]["message"] == "Invalid API key"
    assert {tuple(answer.headers) for answer in refused.values()} == {tuple(known.headers)}
    assert rows(url, count) == before
    causes = {
        name: two.gateway.line(answer.headers["x-request-id"])["cause"] for name, answer in refused.items()
    }
    assert len(set(causes.values())) > 12, causes
    said = two.gateway.log_path.read_text()
    parts = {part for token in attacks.values() for part in token.split(".")[1:] if len(part) > 60}
    assert not [part for part in parts if part in said]


def all_hear(two: Campus, token: str, status: int) -> None:
    """Whoever asks `LIMIT` seconds from now hears it, however long the answers take."""
    began = asked = time.monotonic()
    while (heard := two.statuses(token)) != {status: 16}:
        assert asked < began + LIMIT, heard
        time.sleep(PAUSE)
        asked = time.monotonic()
    assert two.statuses(token) == {status: 16}


def test_what_a_token_depends_on_is_seen_by_both_processes_within_two_seconds(two: Campus) -> None:
    token = sign(campus(unique_id="fresh", jti="t-1"), seed=2)
    assert two.statuses(token) == {200: 16}
    key_id = two.key_ids[2]
    two.gateway.cli("institution", "key", "deactivate", key_id)
    all_hear(two, token, 401)
    two.gateway.cli("institution", "key", "activate", key_id)
    all_hear(two, token, 200)
    revoked = two.gateway.cli("jwt", "revoke", "uni", "t-1", "--reason", "lost")
    all_hear(two, token, 401)
    assert two.gateway.cli("jwt", "revoke", "uni", "t-1") == revoked
    assert [row["jti"] for row in two.gateway.cli("jwt", "revoked", "uni")] == ["t-1"]
    again = sign(campus(unique_id="fresh", jti="t-2"), seed=2)
    assert two.statuses(again) == {200: 16}
    two.gateway.cli("license", "deactivate", "fresh")
    all_hear(two, again, 401)


def test_a_token_that_expires_stops_then_at_both(two: Campus) -> None:
    for seconds in (1.5, 3.0, 6.0, 12.0):
        expires = time.time() + seconds
        token = sign(campus(unique_id="short", exp=expires))
        heard = two.statuses(token)
        if time.time() < expires:
            break  # else it may have been asked too late, and is given longer
    assert heard == {200: 16}
    eventually(lambda: time.time() > expires, "it has expired")
    assert two.statuses(token) == {401: 16}
