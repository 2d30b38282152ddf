"""What a server put beside a call or a message stands there again when the conversation goes on: on every
tape that has it, streamed and not, after the official SDK has read it and sent it back."""

import json
from typing import Any

import pytest
from msgspec.structs import replace
from taped import BODIES, CONVERSE, MESSAGES, REQUEST, STREAMS
from test_sent_back import NAMED, SURFACE, streamed, whole

from quantized.core.request import GenerationRequest, ReasoningWish
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Provider, Target

PUT = [name for name, body in BODIES.items() if b"extra_content" in body]
ROADS = ["whole", "relayed", "rendered"]
OTHER = OpenAIChatProvider("other", "http://server.test/v1")


def read(name: str, road: str, request: GenerationRequest = REQUEST) -> dict[str, Any]:
    """The message as a client has it."""
    if road == "whole":
        return whole(NAMED, BODIES[name], request)
    return streamed(NAMED, STREAMS[name], relays=road == "relayed", request=request)[1]


def sent(provider: Provider, message: dict[str, Any]) -> bytes:
    """The message as it goes to the provider."""
    history = [{"role": "user", "content": "Hi"}, message]
    asked = SURFACE.parse(json.dumps({"model": "m", "messages": history}).encode())
    return provider.encode(asked, Target("m", None)).body


def beside(message: dict[str, Any]) -> list[Any]:
    calls = message.get("tool_calls") or []
    return [message.get("extra_content"), *[call.get("extra_content") for call in calls]]


def test_there_are_tapes():
    assert len(PUT) >= 3


@pytest.mark.parametrize("name", PUT)
@pytest.mark.parametrize("road", ROADS)
def test_it_is_where_it_was_byte_for_byte(name, road):
    body = sent(NAMED, read(name, road))
    said = json.loads(BODIES[name])["choices"][0]["message"]
    assert beside(json.loads(body)["messages"][1]) == beside(said)
    for written in BODIES[name].split(b'"extra_content":')[1:]:
        assert b'"extra_content":' + written[: written.index(b"}}") + 2] in body


@pytest.mark.parametrize("name", PUT)
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("provider", [OTHER, openrouter("key")], ids=["other", "openrouter"])
def test_nobody_else_gets_it(name, road, provider):
    body = sent(provider, read(name, road))
    assert b"signature" not in body
    assert b"reasoning_details" not in body
    calls = json.loads(body)["messages"][1].get("tool_calls") or []
    assert all(call.keys() == {"id", "type", "function"} for call in calls)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    ("provider", "model"),
    [(MESSAGES, "claude-haiku-4-5"), (CONVERSE, "anthropic.claude-haiku-4-5-20251001-v1:0")],
    ids=["anthropic", "bedrock"],
)
def test_nor_do_other_languages(road, provider, model):
    history = [{"role": "user", "content": "Hi"}, read("gemini_signed_text", road)]
    asked = SURFACE.parse(
        json.dumps({"model": "m", "messages": [*history, {"role": "user", "content": "Go on"}]}).encode()
    )
    said = provider.encode(asked, Target(model, 1_000)).body
    assert b"21 in Rome" in said
    assert b"signature" not in said


@pytest.mark.parametrize("name", PUT)
@pytest.mark.parametrize("road", ROADS)
def test_a_client_knows_the_form_of_the_blocks(name, road):
    """Each says whose it is and which call's, and has an index of its own, by which clients add up."""
    message = read(name, road)
    blocks = message["reasoning_details"]
    assert [block["index"] for block in blocks] == list(range(len(blocks)))
    assert {block["type"] for block in blocks} == {"reasoning.encrypted"}
    assert {block["provider"] for block in blocks} == {"named"}
    calls = {call["id"] for call in message.get("tool_calls") or ()}
    assert {block["id"] for block in blocks if "id" in block} <= calls
    assert all("extra_content" not in one for one in (message, *(message.get("tool_calls") or ())))


@pytest.mark.parametrize("name", PUT)
@pytest.mark.parametrize("road", ["whole", "rendered"])
def test_a_caller_who_wants_to_read_no_reasoning_has_it_all_the_same(name, road):
    quiet = replace(REQUEST, reasoning=ReasoningWish(exclude=True))
    assert sent(NAMED, read(name, road, quiet)) == sent(NAMED, read(name, road))
