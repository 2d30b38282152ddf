"""What a caller of chat completions reads is as the description says, relayed or rendered."""

import json
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from taped import BODIES, REQUEST, STREAMS, provider_of

from quantized.core.events import Finished
from quantized.core.fold import fold
from quantized.core.usage import Bill, Usage
from quantized.gateway.translation import Identity, Translation
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.provider import Provider
from quantized.surfaces.chat.openapi import component_schemas
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()
BILL = Bill(Usage(), credits_used=1, credits_remaining=2)
_COMPONENTS = {"schemas": component_schemas()}
VALIDATORS = {
    name: OAS31Validator({"$ref": f"#/components/schemas/{name}", "components": _COMPONENTS})
    for name in ("ChatCompletion", "ChatCompletionChunk")
}
IDENTITY = Identity("gen-1", 1_719_000_000)


def mistakes(name: str, told: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATORS[name].iter_errors(told)]


def chunks(provider: Provider, tape: bytes, *, relays: bool) -> list[Any]:
    renderer = SURFACE.renderer(REQUEST)
    translation = Translation(provider.decoder(REQUEST), renderer, IDENTITY, relays=relays)
    said = translation.feed(tape) + translation.close()
    assert isinstance(translation.terminal, Finished)
    said += renderer.finish(translation.terminal.reason, BILL)
    *frames, done = [frame.removeprefix(b"data: ") for frame in said.split(b"\n\n") if frame]
    assert done == b"[DONE]"
    return [json.loads(frame) for frame in frames]


@pytest.mark.parametrize("name", STREAMS)
def test_the_chunks_of_every_tape(name):
    for relays in (True, False):
        for chunk in chunks(provider_of(name), STREAMS[name], relays=relays):
            assert mistakes("ChatCompletionChunk", chunk) == []


@pytest.mark.parametrize("name", BODIES)
def test_the_whole_answer_of_every_tape(name):
    answer = fold(provider_of(name).decode_body(REQUEST, BODIES[name]))
    answer = IDENTITY.named(answer)
    assert mistakes("ChatCompletion", json.loads(SURFACE.render(REQUEST, answer, BILL))) == []


NULLS = [
    {"content": "Hi", "refusal": None, "tool_calls": None, "role": None, "reasoning": None, "audio": None},
    {"content": "Hi", "tool_calls": [{"index": 0, "id": None, "function": None}], "annotations": None},
    {"tool_calls": [{"index": 0, "id": None, "type": None, "function": {"name": None, "arguments": "}"}}]},
    {"content": "Hi", "tool_calls": [{"index": 0, "function": {"name": None, "arguments": None}}]},
]


@pytest.mark.parametrize("delta", NULLS)
@pytest.mark.parametrize("more", [{}, {"usage": None, "system_fingerprint": None, "service_tier": None}])
def test_what_is_null_in_a_relayed_frame(delta, more):
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"tool_calls": [call]}]
    tape = b""
    for said, finish in (*((one, None) for one in (*deltas, delta, delta)), ({}, "stop")):
        choice = {"index": 0, "delta": said, "finish_reason": finish, "logprobs": None}
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        tape += b"data: " + json.dumps({**head, "choices": [choice], **more}).encode() + b"\n\n"
    named = OpenAIChatProvider("named", "http://server.test/v1")
    told = chunks(named, tape + b"data: [DONE]\n\n", relays=True)
    assert delta in [choice["delta"] for chunk in told for choice in chunk["choices"]]
    for chunk in told:
        assert mistakes("ChatCompletionChunk", chunk) == []
