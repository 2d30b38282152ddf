"""Answers of any blocks: streamed in any pieces and whole they are one answer, and events of any kind are
read without an accident."""

import json
from typing import Any

from converse_answers import streamed, told, whole
from converse_tapes import (
    SIGNATURE,
    START,
    Events,
    call,
    delta,
    framed,
    message_stop,
    metadata,
    stop,
    thought,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from quantized.core.events import Failed, Finished, PartFinished, PartStarted, Started
from quantized.core.fold import fold
from quantized.core.parts import Reasoning
from quantized.providers.bedrock.seals import read

words = st.text(max_size=12)
json_objects = st.dictionaries(words, st.none() | st.integers(-9, 9) | words, max_size=2)
blocks = st.one_of(
    st.builds(lambda said: {"text": said}, words),
    st.builds(
        lambda said, cited: {"citationsContent": {"content": [{"text": said}], "citations": cited}},
        words,
        st.lists(st.builds(lambda title: {"title": title, "source": "https://a.example"}, words), max_size=2),
    ),
    st.builds(
        lambda said, sign: {
            "reasoningContent": {"reasoningText": {"text": said, **({"signature": sign} if sign else {})}}
        },
        words,
        st.sampled_from(["", SIGNATURE]),
    ),
    st.builds(
        lambda data: {"reasoningContent": {"redactedContent": data}},
        st.sampled_from(["AAEC", "AA==", "AAE="]),
    ),
    st.builds(
        lambda name, told: {"toolUse": {"toolUseId": f"t{name}", "name": f"f{name}", "input": told}},
        st.integers(0, 9),
        json_objects,
    ),
    st.builds(
        lambda told: {"toolUse": {"toolUseId": "s", "name": "g", "input": told, "type": "server_tool_use"}},
        json_objects,
    ),
)


def in_pieces(index: int, block: dict[str, Any], draw: st.DrawFn) -> Events:
    def halves(said: str) -> tuple[str, str]:
        at = draw(st.integers(0, len(said)))
        return said[:at], said[at:]

    match block:
        case {"text": said}:
            pieces = [delta(index, text=piece) for piece in halves(said)]
        case {"citationsContent": {"content": [{"text": said}], "citations": cited}}:
            pieces = [delta(index, text=piece) for piece in halves(said)]
            citations = [delta(index, citation=one) for one in cited]
            pieces = [*citations, *pieces] if draw(st.booleans()) else [*pieces, *citations]
        case {"reasoningContent": {"reasoningText": told_text}}:
            return thought(index, *halves(told_text["text"]), signature=told_text.get("signature"))
        case {"reasoningContent": piece}:
            pieces = [delta(index, reasoningContent=piece)]
        case {"toolUse": tool}:
            told_input = json.dumps(tool["input"]) if tool["input"] else ""
            more = {"type": tool["type"]} if "type" in tool else {}
            return call(index, tool["toolUseId"], tool["name"], *halves(told_input), **more)
    return [*pieces, stop(index)]


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Events]:
    """The blocks of a message, and the events that tell them."""
    content = draw(st.lists(blocks, max_size=6))
    return content, [event for at, block in enumerate(content) for event in in_pieces(at, block, draw)]


@settings(max_examples=200, deadline=None)
@given(answers())
def test_streamed_and_whole_are_one_answer(drawn):
    content, events = drawn
    body = fold(whole(*content))
    assert fold(streamed(*events)) == body
    seals = [seal for part in body.parts if isinstance(part, Reasoning) for seal in part.seals]
    sealed = [one.block for seal in seals if (one := read(seal, "anthropic")) is not None]
    assert sealed == [
        block
        for block in content
        if "reasoningContent" in block
        and block["reasoningContent"].get("reasoningText", {"signature": ""}).get("signature") is not None
    ]


kinds = st.sampled_from(
    [
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "x",
    ]
)
values = st.one_of(st.none(), st.integers(-2, 4), words, json_objects)
members = st.dictionaries(
    st.sampled_from(["text", "toolUse", "reasoningContent", "citation", "image", "toolResult"]),
    values | st.dictionaries(st.sampled_from(["text", "input", "signature", "redactedContent"]), words),
    max_size=2,
)
payloads = st.fixed_dictionaries(
    {}, optional={"contentBlockIndex": values, "delta": members, "start": members, "stopReason": values}
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(kinds, payloads) | answers().map(lambda drawn: (drawn[1] or [START])[0]), max_size=8)
)
def test_events_of_any_kind_make_a_legal_stream(drawn):
    events = told(framed([START, *drawn, message_stop(), metadata()]))
    first, *parts, last = events
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
