"""Every answer is one that `/openapi.json` describes: its path, status, headers and shape."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from chat_client import CHAT, ask
from gateway_process import GatewayProcess, Licence
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from plain_http import HTTP

OURS = re.compile(r"x-(request-id|quantized-.*|ratelimit-.*)|retry-after")

ANSWERS = [
    ("POST", CHAT, {}, "plain", 200),
    ("POST", CHAT, {}, "tools", 200),
    ("POST", CHAT, {"authorization": "Bearer nobody"}, "plain", 401),
    ("POST", CHAT, {}, "no/such-model", 404),
    ("POST", CHAT, {"x-quantized-provider": "nobody"}, "plain", 400),
    ("POST", CHAT, {}, "status-429-later", 503),
    ("POST", "/v1/responses", {}, "quantized/demo", 422),
    ("GET", "/v1/models", {}, None, 200),
    ("GET", "/v1/models", {"authorization": "Bearer nobody"}, None, 401),
    ("GET", "/v1/models", {"x-quantized-provider": "nobody"}, None, 400),
    ("GET", "/v1/models/{id}", {}, "quantized/demo", 200),
    ("GET", "/v1/models/{id}", {}, "no/such", 404),
    ("GET", "/v1/models/{id}", {"x-quantized-provider": "nobody"}, "quantized/demo", 400),
    ("GET", "/v1/license", {}, None, 200),
    ("GET", "/v1/license", {"authorization": "Bearer nobody"}, None, 401),
    ("GET", "/v1/responses/{response_id}", {}, "resp-0", 404),
    ("GET", "/v1/responses/{response_id}/input_items", {}, "resp-0", 404),
    ("GET", "/v1/responses/{response_id}/input_items?limit=0", {}, "resp-0", 400),
    ("GET", "/health", {}, None, 200),
    ("GET", "/ready", {}, None, 200),
]


class Described:
    def __init__(self, document: Any) -> None:
        validate(document)
        self._document = document

    def response(self, method: str, path: str, status: int) -> Any:
        operation = self._document["paths"][path.partition("?")[0]][method.lower()]
        return operation["responses"][str(status)]

    def check(self, response: Any, kind: str, told: Any) -> None:
        schema = {**response["content"][kind]["schema"], "components": self._document["components"]}
        assert not list(OAS31Validator(schema).iter_errors(told)), told


@pytest.fixture(scope="module")
def described(gateway: GatewayProcess) -> Described:
    """Once for all: to look through the whole description takes more than a second."""
    return Described(HTTP.get(f"{gateway.url}/openapi.json").json())


def check_headers(response: Any, headers: Mapping[str, str]) -> None:
    named = {name.lower() for name in response["headers"]}
    assert {name.lower() for name in headers if OURS.fullmatch(name.lower())} <= named


@pytest.mark.parametrize(("method", "path", "headers", "about", "status"), ANSWERS)
async def test_an_answer_is_as_it_is_described(
    client: httpx.AsyncClient,
    licence: Licence,
    described: Described,
    method: str,
    path: str,
    headers: dict[str, str],
    about: str | None,
    status: int,
) -> None:
    place = re.sub(r"\{\w+\}", about or "", path)
    body = ask(about or "", licence) if method == "POST" else None
    answer = await client.request(method, place, headers=licence.headers | headers, json=body)
    assert answer.status_code == status, answer.text
    response = described.response(method, path, status)
    described.check(response, "application/json", answer.json())
    check_headers(response, answer.headers)
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("model", ["plain", "tools", "quantized/demo"])
async def test_a_stream_is_as_it_is_described(
    client: httpx.AsyncClient, licence: Licence, described: Described, model: str
) -> None:
    answer = await client.post(CHAT, headers=licence.headers, json=ask(model, licence, stream=True))
    response = described.response("POST", CHAT, 200)
    check_headers(response, answer.headers)
    *frames, done = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    assert done == "data: [DONE]"
    for frame in frames:
        described.check(response, "text/event-stream", json.loads(frame.removeprefix("data: ")))


async def test_what_the_balance_made_necessary_is_described(
    gateway: GatewayProcess, client: httpx.AsyncClient, described: Described
) -> None:
    poor = gateway.licence("0.005")
    answer = await client.post(CHAT, headers=poor.headers, json=ask("plain", poor))
    assert answer.status_code == 200
    assert "x-quantized-output-cap" in answer.headers
    check_headers(described.response("POST", CHAT, 200), answer.headers)


async def test_a_gateway_that_cannot_serve_says_so_as_described(described: Described) -> None:
    not_ready = {"status": "not ready", "reason": "there are no models"}
    described.check(described.response("GET", "/ready", 503), "application/json", not_ready)
