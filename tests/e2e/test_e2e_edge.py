"""The edge from outside: who may come in, what is refused and how, and the endpoints that cost nothing."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from chat_client import CHAT, Connect, ask, post, request_bytes
from gateway_process import GatewayProcess, Licence, eventually
from hostile import UPSTREAM_KEY, Hostile
from hostile_behaviours import ANSWER
from in_time import PAUSE, tries

UNAUTHENTICATED = {
    "error": {
        "message": "Invalid API key",
        "type": "invalid_request_error",
        "code": "invalid_api_key",
        "param": None,
    }
}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error, in the one shape that all have."""
    body = answer.json()
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert error["message"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req-")
    return error


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/ready",
        "/v1/models",
        "/v1/models/hostile/plain",
        "/v1/license",
        "/openapi.json",
        "/docs",
        "/nowhere",
        CHAT,
    ],
)
async def test_every_response_carries_an_id_of_its_own(
    client: httpx.AsyncClient, gateway: GatewayProcess, licence: Licence, path: str
) -> None:
    answers = [await client.get(path, headers=licence.headers) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    for answer in answers:
        line = gateway.line(answer.headers["x-request-id"])
        assert line["status"] == answer.status_code


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer sk-quantized-unknown",
        "Basic abc",
        "Bearer sk-other",
        "Bearer " + "x" * 5_000,
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/v1/models/hostile/plain", "/v1/license"])
async def test_a_credential_that_is_none_is_a_401(
    client: httpx.AsyncClient, path: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = await client.request(
        "POST" if path == CHAT else "GET", path, headers=headers, content=b"not json"
    )
    assert answer.status_code == 401
    assert error_of(answer) == UNAUTHENTICATED["error"]


@pytest.mark.parametrize("expectation", [[], ["expect: 100-continue"]])
async def test_the_credential_is_judged_before_a_byte_of_the_body(
    gateway: GatewayProcess, connect: Connect, expectation: list[str]
) -> None:
    stranger = Licence("", "sk-quantized-unknown", "", "")
    request = request_bytes(stranger, {"model": "x"}, CHAT, *expectation)
    head = request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    client = await connect(gateway)
    await client.send(head)
    async with asyncio.timeout(50):
        assert (await client.until(b"\r\n")) == b"HTTP/1.1 401 Unauthorized\r\n"


async def test_a_body_that_waits_to_be_asked_for_is_asked_for(
    gateway: GatewayProcess, licence: Licence, connect: Connect
) -> None:
    head, _, body = request_bytes(licence, ask("plain", licence), CHAT, "expect: 100-continue").partition(
        b"\r\n\r\n"
    )
    client = await connect(gateway)
    await client.send(head + b"\r\n\r\n")
    assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    await client.send(body)
    assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_says_it_is_too_large_is_refused_unread(
    gateway: GatewayProcess, licence: Licence, connect: Connect
) -> None:
    head = request_bytes(licence, {}).partition(b"content-length")[0]
    client = await connect(gateway)
    await client.send(head + b"content-length: 1048577\r\n\r\n")
    async with asyncio.timeout(50):
        assert (await client.until(b"\r\n")).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_turns_out_too_large_is_a_413(
    client: httpx.AsyncClient, licence: Licence, gateway: GatewayProcess
) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b" " * 32_768

    answer = await client.post(CHAT, headers=licence.headers, content=pieces())
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "body_too_large"
    assert gateway.books(licence).holds == []


def nested(depth: int) -> bytes:
    return b'{"model": "hostile/plain", "messages": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"\xff\xfe", None),
        (b"[]", None),
        (nested(2_000), "messages[0]"),
        (nested(100_000), "messages[0]"),
        (b"{}", "model"),
        (b'{"model": "hostile/plain"}', "messages"),
        (b'{"model": 1, "messages": []}', "model"),
        (b'{"model": "hostile/plain", "messages": [{"role": "user"}]}', "messages[0].content"),
        (b'{"model": "hostile/plain", "messages": [{"role": "user", "content": "x"}], "n": 2}', "n"),
        (b'{"model": "hostile/plain", "messages": [{"role": "user", "content": "x"}], "top_p": 2}', "top_p"),
    ],
)
async def test_a_body_that_is_no_request_is_a_400_that_names_the_place(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence, body: bytes, param: str | None
) -> None:
    answer = await client.post(CHAT, headers=licence.headers, content=body)
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert param is None or param in error["message"]
    assert gateway.books(licence).holds == []


async def test_a_compressed_body_is_refused_by_name(client: httpx.AsyncClient, licence: Licence) -> None:
    answer = await client.post(CHAT, headers=licence.headers | {"content-encoding": "gzip"}, content=b"x")
    assert (answer.status_code, error_of(answer)["param"]) == (400, "Content-Encoding")


async def test_the_header_chooses_the_provider(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    unforced = await post(client, licence, ask("plain", licence))
    forced = await post(client, licence, ask("plain", licence), {"x-quantized-provider": "other"})
    assert (unforced.status_code, forced.status_code) == (200, 200)
    first, second = hostile.seen(licence.marker)
    assert (first.path, first.body["model"]) == ("/v1/chat/completions", "hostile/plain")
    assert (second.path, second.body["model"]) == ("/other/v1/chat/completions", "hostile/second")


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("name", ["nobody", "HOSTILE", "", "é".encode("latin-1").decode("latin-1")])
async def test_an_unknown_provider_is_a_400_that_names_the_possible_ones(
    client: httpx.AsyncClient, licence: Licence, method: str, name: str
) -> None:
    headers = [*licence.headers.items(), ("x-quantized-provider", name)]
    raw = [(key.encode(), value.encode("latin-1")) for key, value in headers]
    path = CHAT if method == "POST" else "/v1/models"
    body = json.dumps(ask("plain", licence)).encode() if method == "POST" else None
    answer = await client.request(method, path, headers=raw, content=body)
    assert answer.status_code == 400
    error = error_of(answer)
    assert error["code"] == "unknown_provider"
    for possible in ("hostile", "other", "openrouter", "demo"):
        assert possible in error["message"]


async def test_a_model_that_the_forced_provider_lacks_is_a_404(
    client: httpx.AsyncClient, licence: Licence, hostile: Hostile
) -> None:
    answer = await post(client, licence, ask("tools", licence), {"x-quantized-provider": "other"})
    assert answer.status_code == 404
    assert error_of(answer)["message"] == "Model 'hostile/tools' not found"
    assert hostile.seen(licence.marker) == []


async def test_models_are_listed_by_provider(client: httpx.AsyncClient, licence: Licence) -> None:
    async def listed(provider: str) -> dict[str, Any]:
        headers = licence.headers | {"x-quantized-provider": provider}
        body = (await client.get("/v1/models", headers=headers)).json()
        assert body["object"] == "list"
        return {entry["id"]: entry for entry in body["data"]}

    assert (await listed("other")).keys() == {"hostile/plain"}
    assert (await listed("openrouter")).keys() >= {"listed/model", "listed/rich"}
    assert (await listed("demo")).keys() == {"quantized/demo"}
    entry = (await listed("openrouter"))["listed/model"]
    assert entry["context_window"] == 32_000
    assert entry["max_output_tokens"] == 500
    assert entry["cost"]["input"] == 1
    one = await client.get(
        "/v1/models/hostile/plain", headers=licence.headers | {"x-quantized-provider": "other"}
    )
    assert one.json()["cost"]["output"] == 7
    missing = await client.get("/v1/models/no/such", headers=licence.headers)
    assert (missing.status_code, error_of(missing)["code"]) == (404, "model_not_found")


async def test_a_model_that_the_licence_type_does_not_allow_is_not_there(
    gateway: GatewayProcess, client: httpx.AsyncClient, hostile: Hostile
) -> None:
    gateway.cli(
        "license-type", "create", "home", "seminar", "--models", "hostile/pl*", "--models", "quantized/*"
    )
    licence = gateway.licence(type_="home/seminar")
    listed = (await client.get("/v1/models", headers=licence.headers)).json()["data"]
    assert {entry["id"] for entry in listed} == {"hostile/plain", "quantized/demo"}
    assert (await client.get("/v1/models/hostile/second", headers=licence.headers)).status_code == 404
    assert (await post(client, licence, ask("plain", licence))).status_code == 200
    # Neither with a price nor without one, and at no provider.
    for model, provider in [
        ("hostile/second", "hostile"),
        ("hostile/unpriced", "hostile"),
        ("listed/model", "openrouter"),
    ]:
        answer = await post(client, licence, ask(model, licence), {"x-quantized-provider": provider})
        assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
    gateway.settled(licence, 1)
    assert len(hostile.seen(licence.marker)) == 1


async def test_health_readiness_and_the_description_need_no_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "ok"}
    assert (await client.get("/ready")).json() == {"status": "ready"}
    description = (await client.get("/openapi.json")).json()
    assert {CHAT, "/v1/models", "/v1/license", "/health"} <= description["paths"].keys()
    page = await client.get("/docs")
    assert "text/html" in page.headers["content-type"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    for asset in ("/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"):
        assert (await client.get(asset)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("POST", "/v1/chat/completion", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/chat/completions", 405),
        ("PUT", "/v1/responses", 405),
        ("POST", "/health", 405),
        ("GET", "/docs/../../etc/passwd", 404),
        ("GET", "/%00", 404),
    ],
)
async def test_what_is_not_there_is_told_in_the_one_shape(
    client: httpx.AsyncClient, licence: Licence, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path, headers=licence.headers)
    assert answer.status_code == status
    assert error_of(answer)["type"] == "invalid_request_error"


async def test_a_page_of_a_known_origin_may_call(client: httpx.AsyncClient, licence: Licence) -> None:
    origin = {"origin": "https://chat.example.edu"}
    asking = origin | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-quantized-provider",
    }
    preflight = await client.options(CHAT, headers=asking)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin["origin"]
    answer = await post(client, licence, ask("plain", licence), origin)
    assert answer.headers["access-control-allow-origin"] == origin["origin"]
    assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
    refused = await client.post(CHAT, headers=origin)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin["origin"])


async def test_a_page_of_another_origin_may_not(client: httpx.AsyncClient, licence: Licence) -> None:
    answer = await post(client, licence, ask("plain", licence), {"origin": "https://evil.example.com"})
    assert "access-control-allow-origin" not in answer.headers


async def test_without_the_setting_no_page_may_call(
    hasty_client: httpx.AsyncClient, hasty_licence: Licence
) -> None:
    origin = {"origin": "https://chat.example.edu"}
    answer = await post(hasty_client, hasty_licence, ask("plain", hasty_licence), origin)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_a_deactivated_key_stops_within_two_seconds_and_the_licence_lives_on(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    other = gateway.cli("key", "create", licence.id)

    async def status() -> int:
        return (await client.get("/v1/license", headers=licence.headers)).status_code

    for attempt in tries(2.0):
        assert await status() == 200
        gateway.cli("key", "deactivate", licence.key_id)
        with attempt.timing():
            while await status() == 200:  # noqa: ASYNC110  the answer is another process's
                await asyncio.sleep(PAUSE)
        refused = await client.get("/v1/license", headers=licence.headers)
        assert (refused.status_code, refused.json()) == (401, UNAUTHENTICATED)
        kept = await client.get("/v1/license", headers={"authorization": f"Bearer {other['api_key']}"})
        assert kept.status_code == 200
        gateway.cli("key", "activate", licence.key_id)
        with attempt.timing():
            while await status() != 200:  # noqa: ASYNC110
                await asyncio.sleep(PAUSE)


async def test_a_deactivated_licence_is_refused(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    gateway.cli("license", "deactivate", licence.id)
    assert (await post(client, licence, ask("plain", licence))).json() == UNAUTHENTICATED


async def test_an_expired_key_is_refused_the_moment_it_expires(
    gateway: GatewayProcess, client: httpx.AsyncClient
) -> None:
    licence = gateway.licence("1")
    soon = datetime.now(UTC) + timedelta(seconds=2)
    key = gateway.cli("key", "create", licence.id, "--expires", soon.isoformat())["api_key"]
    headers = {"authorization": f"Bearer {key}"}

    async def refused() -> httpx.Response:
        asked = datetime.now(UTC)
        while (answer := await client.get("/v1/license", headers=headers)).status_code == 200:
            assert asked < soon, "asked when it had expired, and served"
            await asyncio.sleep(PAUSE)
            asked = datetime.now(UTC)
        return answer

    assert (await refused()).json() == UNAUTHENTICATED
    assert datetime.now(UTC) >= soon


async def test_the_log_tells_each_request_once_and_never_a_secret(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    wanted = ["plain", "status-401", "status-400", "html", "error-mid-stream", "usage-missing"]
    answers = [await post(client, licence, ask(model, licence, stream=True)) for model in wanted]
    answers.append(await client.post(CHAT, headers=licence.headers, content=licence.marker.encode()))
    answers.append(await post(client, licence, ask("plain", licence) | {licence.marker: licence.marker}))
    answers.append(await post(client, licence, {"model": "hostile/plain", "messages": licence.marker}))
    answers.append(await post(client, licence, ask("plain", licence) | {"temperature": licence.marker}))
    ids = [answer.headers["x-request-id"] for answer in answers]
    eventually(lambda: {line.get("request_id") for line in gateway.log()} >= set(ids))
    log = gateway.log_path.read_text()
    requests = [line for line in gateway.log() if line["message"] == "request"]
    assert sorted(line["request_id"] for line in requests if line["request_id"] in ids) == sorted(ids)
    for secret in (licence.key, licence.key[-20:], UPSTREAM_KEY, ANSWER, "capital of France", licence.marker):
        assert secret not in log
    assert "sk-quantized-" not in log
    plain = gateway.line(ids[0])
    assert (
        plain.items()
        >= {
            "license_id": licence.id,
            "key_id": licence.key_id,
            "model": "hostile/plain",
            "provider": "hostile",
            "status": 200,
            "stream": True,
            "credits_used": 114,
            "outcome": "completed",
        }.items()
    )
    assert plain["usage"]["input"] == 25
    assert 0 <= plain["first_byte_ms"] <= plain["total_ms"]


async def test_a_head_without_end_is_refused(gateway: GatewayProcess, connect: Connect) -> None:
    """Nobody needs a key to send one."""
    client = await connect(gateway)
    await client.send(b"GET /health HTTP/1.1\r\nhost: x\r\n" + b"x-more: " + b"y" * 70_000)
    answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"head_too_large"' in answer


async def test_what_is_read_back_is_in_the_log_with_its_fault(
    gateway: GatewayProcess, client: httpx.AsyncClient, licence: Licence
) -> None:
    answer = await client.get("/v1/responses/resp-0", headers=licence.headers)
    assert answer.status_code == 404
    line = gateway.line(answer.headers["x-request-id"])
    told = {"status": 404, "error": "ResponseNotFound", "license_id": licence.id}
    assert line.items() >= told.items()
