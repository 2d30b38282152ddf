"""What a caller has read of an answer, streamed or not, relayed or rendered, may come back."""

import json
from typing import Any

import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from taped import BODIES, REQUEST, STREAMS, provider_of

from quantized.core.events import Finished
from quantized.core.fold import fold
from quantized.core.request import GenerationRequest
from quantized.core.usage import Bill, Usage
from quantized.gateway.translation import Identity, Translation
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.provider import Provider
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()
BILL = Bill(Usage(), credits_used=1, credits_remaining=2)
IDENTITY = Identity("gen-1", 1_719_000_000)
NAMED = OpenAIChatProvider("named", "http://server.test/v1")
HEAD = {"id": "c1", "created": 1, "model": "m"}


def streamed(
    provider: Provider, tape: bytes, *, relays: bool, request: GenerationRequest = REQUEST
) -> tuple[bytes, dict[str, Any]]:
    """What a client reads of the stream, and the message that the official SDK adds up from it."""
    renderer = SURFACE.renderer(request)
    translation = Translation(provider.decoder(request), renderer, IDENTITY, relays=relays)
    said = b"".join([translation.feed(frame + b"\n\n") for frame in tape.split(b"\n\n") if frame])
    said += translation.close()
    assert isinstance(translation.terminal, Finished)
    said += renderer.finish(translation.terminal.reason, BILL)
    state = ChatCompletionStreamState()
    for frame in said.split(b"\n\n")[:-2]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: ")))
    return said, state.current_completion_snapshot.choices[0].message.model_dump()


def whole(provider: Provider, body: bytes, request: GenerationRequest = REQUEST) -> dict[str, Any]:
    answer = SURFACE.render(request, fold(provider.decode_body(request, body)), BILL)
    return ChatCompletion.model_validate_json(answer).choices[0].message.model_dump()


def accepted(message: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}, message]}
    SURFACE.parse(json.dumps(body).encode())


@pytest.mark.parametrize("name", [name for name in STREAMS if not name.startswith("bedrock_")])
@pytest.mark.parametrize("relays", [True, False])
def test_every_streamed_answer(name, relays):
    tape = STREAMS[name].replace(b"\r\n", b"\n")
    accepted(streamed(provider_of(name), tape, relays=relays)[1])


@pytest.mark.parametrize("name", BODIES)
def test_every_whole_answer(name):
    accepted(whole(provider_of(name), BODIES[name]))


CALL = {"index": 0, "id": "call_1", "type": "function"}
ODD = {
    "a channel": {"content": "Hi", "channel": "final"},
    "a null": {"content": "Hi", "foo": None},
    "another role": {"content": "Hi", "role": "user"},
    "details that are no objects": {
        "content": "Hi",
        "reasoning_details": [None, "x", {"type": "y", "index": 0}],
    },
    "a call with more": {
        "tool_calls": [
            {
                **CALL,
                "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "s"}},
            }
        ]
    },
    "a function with more": {
        "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{}", "strict": True}}]
    },
    "a call of another type": {
        "tool_calls": [{**CALL, "type": "custom", "function": {"name": "f", "arguments": "{}"}}]
    },
    "a call without arguments": {"tool_calls": [{**CALL, "function": {"name": "f"}}]},
    "a call without a type": {
        "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]
    },
    "an audio of nothing": {"content": "Hi", "audio": {}},
    "an audio that nobody keeps": {"audio": {"data": "AAAA"}},
    "an image written out": {"images": [{"image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}}]},
    "an image of no kind": {"images": [{"image_url": {"url": "DATA:,a"}}]},
    "an empty other name": {"content": "Hi", "reasoning": "Hm.", "reasoning_content": ""},
}


def frame(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("first", [True, False])
def test_what_we_do_not_know_is_told_on_no_road(odd, first):
    """In whichever frame it comes, and however often: in the first, or when the form of others is known."""
    usual = frame({"role": "assistant", "content": ""}) + frame({"content": "a"}) + frame({"content": "b"})
    tape = frame({"role": "assistant", **odd}) if first else usual + frame(odd)
    tape += frame(odd if "tool_calls" not in odd else {"content": "c"}) * 3
    tape += frame({}, "stop") + b"data: [DONE]\n\n"
    (relayed, by_relay), (_, by_rendering) = (streamed(NAMED, tape, relays=r) for r in (True, False))
    for message in (by_relay, by_rendering):
        accepted(message)
    assert told(by_relay) == told(by_rendering)
    assert b'"channel"' not in relayed


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_nor_in_a_whole_answer(odd):
    choice = {"index": 0, "message": {"role": "assistant", **odd}, "finish_reason": "stop"}
    accepted(whole(NAMED, json.dumps({**HEAD, "choices": [choice]}).encode()))


def told(message: dict[str, Any]) -> dict[str, Any]:
    """No text is as good as an empty one."""
    return {field: value for field, value in message.items() if value}


@pytest.mark.parametrize("extra", [{}, {"channel": "final"}])
def test_only_frames_that_hold_more_are_rendered(extra):
    plain = [frame({"content": text, **extra}) for text in ("a", "b", "c", "d")]
    tape = frame({"role": "assistant", "content": ""}) + b"".join(plain) + frame({}, "stop")
    said, message = streamed(NAMED, tape + b"data: [DONE]\n\n", relays=True)
    assert message["content"] == "abcd"
    assert all((one in said) is not bool(extra) for one in plain)
