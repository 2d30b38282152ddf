"""Clients of the Responses API: bodies, and streams judged as they are read."""

from typing import Any, NamedTuple

import httpx
from gateway_process import GatewayProcess, Licence
from responses_laws import check_whole
from responses_samples import Frames, check_response

RESPONSES = "/v1/responses"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


def query(model: str, licence: Licence, **more: Any) -> dict[str, Any]:
    """A request's body; its input holds the licence's marker unless it is given."""
    name = model if "/" in model else f"hostile/{model}"
    return {"model": name, "input": f"What is the capital of France? {licence.marker}"} | more


def provider_of(model: str) -> dict[str, str]:
    """The header that a model needs beside its name."""
    author = model.partition("/")[0]
    provider = {"listed": "openrouter", "quantized": "demo"}.get(author, author)
    return {"x-quantized-provider": provider}


class Answered(NamedTuple):
    """An answer, streamed or not; `events` are its events where it was."""

    http: httpx.Response
    response: dict[str, Any]
    events: Frames

    @property
    def id(self) -> str:
        found: str = self.response["id"]
        return found

    @property
    def text(self) -> str:
        return text_of(self.response)

    @property
    def usage(self) -> dict[str, Any]:
        found: dict[str, Any] = self.response["usage"]
        return found

    def items(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.response["output"] if item["type"] == kind]


def text_of(response: dict[str, Any]) -> str:
    return "".join(
        part.get("text") or ""
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    )


async def post_raw(
    client: httpx.AsyncClient, licence: Licence, body: Any, headers: dict[str, str] | None = None
) -> httpx.Response:
    return await client.post(RESPONSES, json=body, headers=licence.headers | (headers or {}))


async def respond(
    client: httpx.AsyncClient, licence: Licence, body: dict[str, Any], provider: str | None = None
) -> Answered:
    """An answer that came, judged by every law of its kind. The provider is the model's own unless given."""
    header = provider_of(body["model"]) if provider is None else {"x-quantized-provider": provider}
    http = await post_raw(client, licence, body, header)
    assert http.status_code == 200, http.text
    if not body.get("stream"):
        check_response(http.content)
        return Answered(http, http.json(), [])
    events = check_whole(without_comments(http.content))
    return Answered(http, events[-1]["response"], events)


def without_comments(stream: bytes) -> bytes:
    """They keep a silent connection open, and tell nothing."""
    return b"".join(
        frame + b"\n\n" for frame in stream.removesuffix(b"\n\n").split(b"\n\n") if not frame.startswith(b":")
    )


async def read_back(client: httpx.AsyncClient, licence: Licence, response_id: str) -> dict[str, Any]:
    """The stored response."""
    http = await client.get(f"{RESPONSES}/{response_id}", headers=licence.headers)
    assert http.status_code == 200, http.text
    check_response(http.content)
    found: dict[str, Any] = http.json()
    return found


async def input_items(client: httpx.AsyncClient, licence: Licence, response_id: str) -> list[dict[str, Any]]:
    """In the order in which they were written."""
    http = await client.get(
        f"{RESPONSES}/{response_id}/input_items", params={"order": "asc"}, headers=licence.headers
    )
    assert http.status_code == 200, http.text
    items: list[dict[str, Any]] = http.json()["data"]
    return items


def stored(gateway: GatewayProcess, licence: Licence) -> list[str]:
    """The ids of all responses of a licence that are in the database."""
    return [row["id"] for row in gateway.books(licence).responses]
