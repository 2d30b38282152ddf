"""Relay and slow road mean the same, and the official SDK reads from both what the answer says."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from taped import ALL_STREAMS, BODIES, CHAT, REQUEST, STREAMS, provider_of

from quantized.core.events import Failed, Finished
from quantized.core.fold import fold
from quantized.core.usage import Bill, Usage
from quantized.gateway.translation import Identity, Translation
from quantized.providers.provider import Decoder, no_relay
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


class Closed:
    """A decoder whose fast lane is closed."""

    relay = staticmethod(no_relay)

    def __init__(self, decoder: Decoder) -> None:
        self.feed = decoder.feed
        self.close = decoder.close


class Watched:
    """A decoder whose fast lane is counted."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.feed = decoder.feed
        self.close = decoder.close
        self.relayed = 0

    def relay(self, data: bytes) -> tuple[bytes, int] | None:
        told = self._decoder.relay(data)
        self.relayed += told is not None
        return told


def translated(decoder: Decoder, pieces: list[bytes]) -> tuple[bytes, int, str]:
    """What a client reads, what it is measured as, and how it ends."""
    translation = Translation(decoder, SURFACE.renderer(REQUEST), IDENTITY, relays=True)
    said = b"".join(map(translation.feed, pieces)) + translation.close()
    terminal = translation.terminal
    ending = repr(terminal.fault.cause) if isinstance(terminal, Failed) else repr(terminal)
    return said, translation.meter.tokens, ending


def cut_somewhere(data: st.DataObject, tape: bytes) -> list[bytes]:
    """In pieces; most cuts are between frames, as servers make them."""
    blanks = [match.end() for match in re.finditer(rb"\n\n", tape)]
    places = st.one_of(st.sampled_from([*blanks, len(tape)]), st.integers(0, len(tape)))
    cuts = sorted(data.draw(st.lists(places, max_size=30)))
    return [tape[a:b] for a, b in zip([0, *cuts], [*cuts, len(tape)], strict=True) if a < b]


@pytest.mark.parametrize("name", [name for name in ALL_STREAMS if provider_of(name) is CHAT])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_fast_lane_means_what_feeding_means(name, data):
    pieces = cut_somewhere(data, ALL_STREAMS[name])
    assert translated(provider_of(name).decoder(REQUEST), pieces) == translated(
        Closed(provider_of(name).decoder(REQUEST)), pieces
    )


def frame_of(literal: bytes, spaced: bool, role: bool) -> bytes:
    """A plain frame whose text is `literal` as JSON has it, or what is no JSON."""
    told = b'{"role":"assistant","content":"' if role else b'{"content":"'
    body = b'{"id":"c-1","object":"chat.completion.chunk","created":1719000000,"model":"m","choices":'
    body += b'[{"index":0,"delta":' + told + literal + b'"},"finish_reason":null}]}'
    if spaced:
        body = body.replace(b'":', b'": ', 5)
    return b"data: " + body + b"\n\n"


literals = st.one_of(
    st.text(max_size=8).map(
        lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "replace")
    ),
    st.text(max_size=4).map(lambda text: json.dumps(text)[1:-1].encode()),
    st.binary(max_size=4),
    st.sampled_from(
        [b"", b" word", b'"', b"\\", b"\n\n", b"\r", b"\n\ndata: [DONE]", b'"},"x":"', b"\xed\xa0\x80"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    texts=st.lists(literals, max_size=12),
    spaced=st.booleans(),
    roles=st.booleans(),
)
def test_the_fast_lane_means_the_same_for_whatever_is_in_a_frame(data, texts, spaced, roles):
    tape = frame_of(b"", spaced, True) + b"".join(
        frame_of(text, spaced, roles) for text in (b"two", b"three", *texts)
    )
    pieces = cut_somewhere(data, tape + b"data: [DONE]\n\n")
    assert translated(CHAT.decoder(REQUEST), pieces) == translated(Closed(CHAT.decoder(REQUEST)), pieces)


@pytest.mark.parametrize("name", ["llamacpp_plain", "openrouter_plain"])
def test_the_usual_frames_take_the_fast_lane(name):
    pieces = [frame + b"\n\n" for frame in STREAMS[name].split(b"\n\n")]
    decoder = Watched(CHAT.decoder(REQUEST))
    translated(decoder, pieces)
    assert decoder.relayed >= 5
