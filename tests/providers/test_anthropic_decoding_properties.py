"""Answers of any blocks: streamed in any pieces and whole they are one answer, and frames of any kind are
read without an accident."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from taped import MESSAGES, REQUEST

from quantized.core.events import Event, Failed, Finished, PartFinished, PartStarted, Started
from quantized.core.fold import fold
from quantized.core.parts import Reasoning
from quantized.providers.anthropic.decode import StreamDecoder
from quantized.providers.anthropic.seals import read

words = st.text(max_size=12)
json_objects = st.dictionaries(
    words, st.none() | st.integers(-9, 9) | words | st.lists(words, max_size=2), max_size=2
)
page = st.builds(
    lambda url, title: {
        "type": "web_search_result_location",
        "url": f"https://{url}.example",
        "title": title,
        "cited_text": "…",
        "encrypted_index": "x",
    },
    st.sampled_from("abc"),
    words,
)
blocks = st.one_of(
    st.builds(
        lambda text, cited: {"type": "text", "text": text, "citations": cited},
        words,
        st.lists(page, max_size=2),
    ),
    st.builds(lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, words, words),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, words),
    st.builds(
        lambda kind, name, told: {"type": kind, "id": "id_1", "name": f"f{name}", "input": told},
        st.sampled_from(["tool_use", "server_tool_use"]),
        st.integers(0, 9),
        json_objects,
    ),
    st.builds(
        lambda told: {"type": "web_search_tool_result", "tool_use_id": "id_1", "content": [told]},
        json_objects,
    ),
    st.builds(lambda told: {**told, "type": "novelty"}, json_objects),
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The blocks of a message, and the frames that tell them."""
    content = draw(st.lists(blocks, max_size=6))
    frames: list[dict[str, Any]] = []
    for index, block in enumerate(content):
        began, deltas = _in_pieces(block, draw)
        frames.append({"type": "content_block_start", "index": index, "content_block": began})
        frames += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        if draw(st.booleans()):
            frames.append({"type": "ping"})
        frames.append({"type": "content_block_stop", "index": index})
    return content, frames


def _in_pieces(block: dict[str, Any], draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    def cut(kind: str, field: str, text: str) -> list[dict[str, Any]]:
        at = draw(st.integers(0, len(text)))
        return [{"type": kind, field: piece} for piece in (text[:at], text[at:])]

    match block["type"]:
        case "text":
            cited = [{"type": "citations_delta", "citation": citation} for citation in block["citations"]]
            said = cut("text_delta", "text", block["text"])
            first = draw(st.booleans())
            return {"type": "text", "text": ""}, [*cited, *said] if first else [*said, *cited]
        case "thinking":
            signed = (
                [{"type": "signature_delta", "signature": block["signature"]}] if block["signature"] else []
            )
            said = cut("thinking_delta", "thinking", block["thinking"])
            return {"type": "thinking", "thinking": "", "signature": ""}, [*said, *signed]
        case "tool_use" | "server_tool_use":
            told = json.dumps(block["input"]) if block["input"] else ""
            return {**block, "input": {}}, cut("input_json_delta", "partial_json", told)
        case _:
            return block, []


HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "stop_sequence": None}
USAGE = {"input_tokens": 3, "output_tokens": 4}
FIRST = {"type": "message_start", "message": {**HEAD, "content": [], "stop_reason": None, "usage": USAGE}}
LAST = [
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": USAGE},
    {"type": "message_stop"},
]


def stream_of(frames: list[dict[str, Any]]) -> bytes:
    told = [f"event: {frame['type']}\ndata: {json.dumps(frame)}\n\n" for frame in [FIRST, *frames, *LAST]]
    return "".join(told).encode()


def told_by(stream: bytes) -> list[Event]:
    decoder = StreamDecoder("anthropic", "m")
    events = [event for _, told in decoder.feed(stream) for event in told]
    return [*events, *decoder.close()]


@settings(max_examples=200, deadline=None)
@given(streams())
def test_streamed_and_whole_are_one_answer(drawn):
    content, frames = drawn
    body = json.dumps({**HEAD, "content": content, "stop_reason": "end_turn", "usage": USAGE})
    whole = fold(MESSAGES.decode_body(REQUEST, body.encode()))
    assert fold(told_by(stream_of(frames))) == whole
    seals = [read(seal) for part in whole.parts if isinstance(part, Reasoning) for seal in part.seals]
    sealed = [seal for seal in seals if seal.block is not None]
    for seal in sealed:
        assert seal.block == content[seal.index], "whole and in its place"
    missing = [block for at, block in enumerate(content) if at not in {seal.index for seal in sealed}]
    assert all(
        block["type"] in {"text", "tool_use"}
        or (block["type"] == "thinking" and not block["signature"])
        or block.keys() == {"type"}
        for block in missing
    )


values = st.one_of(
    st.none(),
    st.integers(-2, 4),
    words,
    st.sampled_from(["text", "tool_use", "text_delta", "end_turn"]),
    json_objects,
)
names = st.sampled_from(
    [
        "index",
        "delta",
        "content_block",
        "message",
        "usage",
        "error",
        "text",
        "id",
        "name",
        "input",
        "stop_reason",
    ]
)
kinds = st.sampled_from([FIRST["type"], "content_block_start", "content_block_delta", "content_block_stop"])
inner = st.dictionaries(
    st.sampled_from(["type", "text", "id", "name", "input", "thinking"]), values, max_size=4
)
frames = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    kinds | st.sampled_from(["message_delta", "ping", "vibe"]),
    st.dictionaries(names, values | inner, max_size=4),
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(frames | streams().map(lambda drawn: drawn[1][0] if drawn[1] else {"type": "ping"}), max_size=8)
)
def test_frames_of_any_kind_make_a_legal_stream(drawn):
    first, *parts, last = told_by(stream_of(drawn))
    assert isinstance(first, Started)
    assert isinstance(last, Finished | Failed)
    open_part: int | None = None
    begun = 0
    for event in parts:
        match event:
            case PartStarted(index):
                assert open_part is None
                assert index == begun
                open_part, begun = index, begun + 1
            case PartFinished(index):
                assert index == open_part
                open_part = None
            case _:
                assert event.index == open_part
    assert open_part is None
