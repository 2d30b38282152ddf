"""Relay and slow road mean the same, and the official SDK reads from both what the answer says."""

import json
import re
from typing import Any

import msgspec
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from taped import BODIES, REQUEST, STREAMS, provider_of

from quantized.core.events import Finished
from quantized.core.fold import fold
from quantized.core.usage import Bill, Usage
from quantized.gateway.translation import Identity, Translation
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()
BILL = Bill(Usage(), credits_used=1, credits_remaining=2)

tapes = pytest.mark.parametrize("name", STREAMS)


IDENTITY = Identity("gen-tape", 1_719_000_000)


def frames(name: str, *, relays: bool) -> bytes:
    """What a client reads of the tape."""
    renderer = SURFACE.renderer(REQUEST)
    translation = Translation(provider_of(name).decoder(REQUEST), renderer, IDENTITY, relays=relays)
    said = translation.feed(STREAMS[name]) + translation.close()
    assert isinstance(translation.terminal, Finished)
    return said + renderer.finish(translation.terminal.reason, BILL)


def read_by_sdk(said: bytes) -> dict[str, Any]:
    """The message that the official SDK adds up from our frames, with the finish reason and the id."""
    state = ChatCompletionStreamState()
    *payloads, done = [frame.removeprefix(b"data: ") for frame in said.split(b"\n\n") if frame]
    assert done == b"[DONE]"
    for payload in payloads:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(payload))
    completion = state.current_completion_snapshot
    choice = completion.choices[0]
    message = choice.message.model_dump(exclude_none=True, exclude={"parsed"})
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    for kept in ("content", "reasoning", "refusal"):
        message.setdefault(kept, None)
        message[kept] = message[kept] or None
    logprobs = choice.logprobs.model_dump() if choice.logprobs is not None else None
    return {"id": completion.id, "finish": choice.finish_reason, "logprobs": logprobs, **message}


@tapes
def test_relay_and_slow_road_mean_the_same(name):
    relayed, rendered = (read_by_sdk(frames(name, relays=relays)) for relays in (True, False))
    assert relayed == rendered


@tapes
def test_the_sdk_reads_the_answer(name):
    rendered = read_by_sdk(frames(name, relays=True))
    answer = fold(provider_of(name).decode_body(REQUEST, BODIES[name]))
    message = json.loads(SURFACE.render(REQUEST, answer, BILL))["choices"][0]["message"]
    for field in ("content", "reasoning", "refusal"):
        assert rendered[field] == (message.get(field) or None)
    for field in ("annotations", "tool_calls", "audio"):
        assert rendered.get(field) == (message.get(field) or None)
    assert rendered["finish"] == answer.finish


@pytest.mark.parametrize("name", ["openai_plain", "llamacpp_plain", "openrouter_plain"])
def test_the_usual_frames_are_relayed(name):
    """As they came, but for a role that is said again, once the first two have shown their form."""
    relayed = frames(name, relays=True)
    texts = [frame for frame in STREAMS[name].split(b"\n\n") if re.search(rb'"content":"[^"]', frame)]
    assert len(texts) == 7
    for frame in texts[2:]:
        assert frame.replace(b'"role":"assistant",', b"") + b"\n\n" in relayed


@pytest.mark.parametrize(
    "name", ["ollama_parallel_tools", "gemini_parallel_tools", "openrouter_annotations", "mistral_thinking"]
)
def test_what_a_client_would_misread_is_not_relayed(name):
    relayed = frames(name, relays=True)
    for frame in STREAMS[name].split(b"\n\n"):
        if any(told in frame for told in (b'"call_x2"', b'"id":""', b"url_citation", b'"thinking"')):
            assert frame not in relayed


def test_our_usage_is_the_only_usage_that_a_client_reads():
    for name in STREAMS:
        said = frames(name, relays=True)
        usages = [
            json.loads(frame.removeprefix(b"data: ")).get("usage")
            for frame in said.split(b"\n\n")
            if frame and b"[DONE]" not in frame
        ]
        assert [usage for usage in usages if usage] == usages[-1:]
        assert usages[-1]["credits_used"] == 1


def test_a_failure_in_the_middle_is_told_and_has_no_end_mark():
    renderer = SURFACE.renderer(REQUEST)
    translation = Translation(
        provider_of("openrouter_plain").decoder(REQUEST), renderer, IDENTITY, relays=True
    )
    said = translation.feed(STREAMS["openrouter_plain"][:-20]) + translation.close()
    assert not isinstance(translation.terminal, Finished)
    assert msgspec.json.decode(said.split(b"\n\n")[0].removeprefix(b"data: "))["id"].startswith("gen-")
    assert b"[DONE]" not in said
