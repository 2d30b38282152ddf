"""What the tapes do not show: single quirks of a Messages answer, and what becomes of each."""

import json

import pytest
from messages_frames import HELLO, TEXT, answer, begin, end, failure, piece, start, stop, taped, told
from taped import BROKEN_STREAMS, MESSAGES, REQUEST

from quantized.core.errors import ModelNotFound, ProviderUnavailable, RejectedByProvider
from quantized.core.events import (
    ArgumentsDelta,
    Failed,
    Finished,
    PartFinished,
    PartStarted,
    Sealed,
    Started,
)
from quantized.core.fold import fold
from quantized.core.parts import OutputText, Reasoning, Refusal, ToolCall
from quantized.core.usage import Usage
from quantized.providers.anthropic.decode import StreamDecoder
from quantized.providers.anthropic.seals import read


def test_parts_follow_one_another_in_the_order_of_the_blocks():
    kinds = [type(part).__name__ for part in taped("anthropic_web_search_thinking").parts]
    assert kinds == ["Reasoning", "OutputText", "Reasoning", "Reasoning", "OutputText", "Reasoning"]
    thought, _, searched, again, _, place = taped("anthropic_web_search_thinking").parts
    assert place.text is None
    assert isinstance(thought, Reasoning)
    assert isinstance(searched, Reasoning)
    assert isinstance(again, Reasoning)
    assert [len(part.seals) for part in (thought, searched, again)] == [3, 2, 1]
    assert searched.text is None, "what only the API can read is shown to nobody"


def test_the_index_of_a_seal_is_that_of_its_block():
    parts = taped("anthropic_interleaved_thinking").parts
    seals = [read(seal) for part in parts if isinstance(part, Reasoning) for seal in part.seals]
    assert [(seal.index, seal.block["type"]) for seal in seals] == [
        (0, "thinking"),
        (2, "thinking"),
        (5, "thinking"),
    ]


def test_consecutive_thoughts_are_never_joined():
    thoughts = [p for p in taped("anthropic_consecutive_thinking").parts if isinstance(p, Reasoning)]
    assert [thought.text for thought in thoughts] == [
        "One way to see it.",
        "Another way to see it.",
        "Both agree.",
    ]
    assert [len(thought.seals) for thought in thoughts] == [1, 2, 1]


def test_a_thought_without_its_signature_is_told_and_not_sealed():
    (thought,) = taped("anthropic_unsigned_thinking").parts
    assert thought == Reasoning("This thought was cut off before it")


def test_an_empty_thought_with_a_signature_is_sealed_and_not_told():
    thoughts = [p for p in taped("anthropic_empty_signed_thinking").parts if isinstance(p, Reasoning)]
    assert [thought.text for thought in thoughts] == [None, None]
    assert [read(seal).block["thinking"] for thought in thoughts for seal in thought.seals] == ["", ""]


def test_a_block_is_sealed_with_every_field_it_has():
    got = answer(
        begin(0, type="thinking", thinking="", signature="", era="new"),
        piece(0, "thinking_delta", thinking="Hm"),
        piece(0, "signature_delta", signature="c2ln"),
        stop(0),
    )
    (thought,) = got.parts
    assert isinstance(thought, Reasoning)
    assert read(thought.seals[0]).block == {
        "type": "thinking",
        "thinking": "Hm",
        "signature": "c2ln",
        "era": "new",
    }


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(0, "novelty_delta", novelty="x")],
        [piece(0, "input_json_delta", partial_json='{"query": ')],
    ],
)
def test_a_block_that_nobody_can_rebuild_is_not_sealed(pieces):
    got = answer(begin(0, type="server_tool_use", id="s", name="web_search", input={}), *pieces, stop(0))
    assert got.parts == ()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "divider"},
        {"type": "image", "source": {"type": "base64", "data": "AA=="}},
        {"type": "novelty", "cache_control": {"type": "ephemeral"}},
    ],
)
def test_what_holds_nothing_or_could_be_a_callers_is_not_sealed(block):
    assert answer(begin(0, **block), stop(0)).parts == ()


@pytest.mark.parametrize(
    ("block", "pieces", "arguments"),
    [
        ({"input": {}}, [], "{}"),
        ({"input": {}}, [""], "{}"),
        ({}, [], "{}"),
        ({"input": None}, [], "{}"),
        ({"input": {"a": 1}}, [], '{"a": 1}'),
        ({"input": {}}, ['{"a"', ": 1}"], '{"a": 1}'),
    ],
)
def test_arguments(block, pieces, arguments):
    got = answer(
        begin(0, type="tool_use", id="toolu_1", name="f", **block),
        *[piece(0, "input_json_delta", partial_json=text) for text in pieces],
        stop(0),
    )
    assert got.parts == (ToolCall("toolu_1", "f", arguments),)


def test_a_call_ends_as_soon_as_it_is_whole():
    call = begin(0, type="tool_use", id="a", name="f", input={})
    decoder = StreamDecoder("anthropic", "m")
    frames = [f"data: {json.dumps(frame)}\n\n".encode() for frame in (start(), call, stop(0))]
    *_, ((_, events),) = [decoder.feed(frame) for frame in frames]
    assert [type(event) for event in events] == [ArgumentsDelta, PartFinished]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_how_an_answer_ended(reason, finish):
    assert told(start(), *HELLO, *end(reason))[-1] == Finished(finish, Usage(input=7, output=5))


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (None, "no stop_reason"),
        ("tired", "stop_reason 'tired'"),
        ("so many\nwords", "a stop_reason that is no word"),
    ],
)
def test_an_end_that_is_none(reason, cause):
    fault = failure(told(start(), *HELLO, *end(reason))).fault
    assert fault.cause == f"anthropic: broken answer: {cause}"


def test_why_it_was_refused_is_told_in_no_providers_name():
    refusal = taped("anthropic_refusal").parts[-1]
    assert refusal == Refusal("This request was declined under the provider's usage policy; see …")


def test_an_explanation_is_told_of_a_refusal_alone():
    details = {"type": "refusal", "explanation": "because"}
    frames = [start(), *HELLO, *end()]
    frames[-2]["delta"]["stop_details"] = details
    assert fold(told(*frames)).parts == (OutputText("Hello"),)


def test_an_answer_is_named_by_the_api_and_dated_by_nobody():
    assert told(start(), *end())[0] == Started("msg_1", "claude-x", 0)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "ping"},
        {"type": "ping", "index": "x"},
        {"type": "content_block_progress", "index": [1], "delta": 7},
        {"type": "vibe", "message": False},
    ],
)
def test_unknown_events_are_passed_over(frame):
    assert told(start(), frame, *HELLO, frame, *end()) == told(start(), *HELLO, *end())


@pytest.mark.parametrize(
    "frame",
    [
        piece(3, "text_delta", text="where?"),
        piece(0, "text_delta", text=7),
        {"type": "content_block_delta", "index": 0},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_start", "index": 5},
        begin(5, type="tool_use", id="toolu_1"),
        begin(5, type="tool_use", name="f"),
        begin(5, type="text", text=5),
        begin(5, text="of no type"),
        start(),
    ],
)
def test_a_frame_that_cannot_be_read_is_skipped_and_counted(frame):
    events = told(start(), TEXT, piece(0, "text_delta", text="Hel"), frame, *HELLO[1:], *end())
    assert failure(events).fault.cause == "anthropic: broken answer: 1 unreadable frames"
    uncut = told(start(), TEXT, piece(0, "text_delta", text="Hel"), *HELLO[1:], *end())
    assert [event for event in uncut[:-1] if event in events] == uncut[:-1]


@pytest.mark.parametrize(
    "payload",
    [b"{", b"7", b"[]", b"{}", b'{"type":7}', b'{"type":"ping"', b'"\xff"', b'{"type":"ping","x":"\xff"}'],
)
def test_frames_that_are_nothing(payload):
    decoder = StreamDecoder("anthropic", "m")
    assert decoder.feed(b"data: " + payload + b"\n\n") == [(None, ())]
    assert decoder.malformed == 1


def test_a_frame_as_deep_as_the_sea():
    deep = (
        b'{"type":"content_block_start","index":0,"content_block":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    )
    decoder = StreamDecoder("anthropic", "m")
    assert decoder.feed(b"data: " + deep + b"\n\n") == [(None, ())]
    body = b'{"type":"message","content":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}"
    assert isinstance(MESSAGES.decode_body(REQUEST, body)[-1], Failed)


def test_an_endless_frame_ends_the_stream():
    decoder = StreamDecoder("anthropic", "m")
    events = [
        event for _ in range(17) for _, told in decoder.feed(b"data: " + b"x" * 1024 * 1024) for event in told
    ]
    assert failure(events).fault.cause == "anthropic: broken answer: a frame without end"


def test_nothing_is_read_after_the_end():
    ended = told(start(), *HELLO, *end())
    assert told(start(), *HELLO, *end(), begin(1, type="text", text="more"), *end()) == ended


def test_a_stop_that_is_missing_or_told_twice_loses_nothing():
    frames = [TEXT, piece(0, "text_delta", text="a"), stop(0), stop(0), begin(1, type="text", text="b")]
    assert answer(*frames).parts == (OutputText("ab"),)


ERROR = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
    "request_id": "req_1",
}


def test_an_error_instead_of_an_answer_may_be_tried_again():
    events = told(ERROR)
    fault = failure(events).fault
    assert isinstance(fault, ProviderUnavailable)
    assert fault.retryable
    assert fault.cause == "anthropic: error in the answer, type overloaded_error"
    assert len(events) == 1


@pytest.mark.parametrize(
    "first",
    [
        start(input_tokens=0.5),
        {"type": "message_start", "message": "none"},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_stop"},
    ],
)
def test_an_answer_whose_beginning_nobody_can_read_is_not_asked_for_again(first):
    fault = failure(told(first, TEXT, piece(0, "text_delta", text="Hi"), stop(0), *end())).fault
    assert isinstance(fault, ProviderUnavailable)
    assert not fault.retryable


def test_nor_is_one_that_is_no_json_or_has_no_end():
    for data in (b'data: {"type": "message_st\n\n', b"data: " + b"x" * 40_000_000):
        decoder = StreamDecoder("anthropic", "m")
        events = [event for _, told in decoder.feed(data) for event in told]
        fault = failure([*events, *decoder.close()]).fault
        assert isinstance(fault, ProviderUnavailable)
        assert not fault.retryable


@pytest.mark.parametrize("body", ["{}", '{"type": "message", "content": null}', '{"content": [{"type": 1}]}'])
def test_nor_is_a_body_that_nobody_can_read(body):
    fault = failure(MESSAGES.decode_body(REQUEST, body.encode())).fault
    assert isinstance(fault, ProviderUnavailable)
    assert not fault.retryable


def test_an_error_within_an_answer_is_not():
    fault = failure(told(start(), *HELLO[:2], ERROR, *end())).fault
    assert isinstance(fault, ProviderUnavailable)
    assert not fault.retryable


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("invalid_request_error", RejectedByProvider),
        ("authentication_error", ProviderUnavailable),
        ("api_error", ProviderUnavailable),
        ("never_heard_of_error", ProviderUnavailable),
    ],
)
def test_errors_in_a_stream_have_their_kind(kind, expected):
    fault = failure(told({"type": "error", "error": {"type": kind, "message": "No."}})).fault
    assert type(fault) is expected


def test_an_unknown_model_in_a_stream_is_the_one_asked_for():
    error = {"type": "error", "error": {"type": "not_found_error", "message": "model: claude-9"}}
    fault = failure(told(error)).fault
    assert isinstance(fault, ModelNotFound)
    assert fault.message == "Model 'm' not found"


def test_a_page_in_place_of_a_body_may_be_tried_again_and_an_answer_may_not():
    page, cut = (MESSAGES.decode_body(REQUEST, body)[-1] for body in (b"<html>", b'{"content":'))
    assert isinstance(page, Failed)
    assert isinstance(cut, Failed)
    assert isinstance(page.fault, ProviderUnavailable)
    assert isinstance(cut.fault, ProviderUnavailable)
    assert page.fault.retryable
    assert not cut.fault.retryable


def test_a_body_of_json_in_place_of_a_stream():
    decoder = StreamDecoder("anthropic", "m")
    decoder.feed(BROKEN_STREAMS["anthropic_body_in_place_of_stream"])
    (event,) = decoder.close()
    assert isinstance(event, Failed)
    assert isinstance(event.fault, RejectedByProvider)
    assert event.fault.param == "messages"


def test_seals_are_told_as_soon_as_their_block_is_whole():
    frames = [
        begin(0, type="redacted_thinking", data="x"),
        stop(0),
        begin(1, type="text", text="a"),
        piece(1, "text_delta", text="b"),
    ]
    decoder = StreamDecoder("anthropic", "m")
    seen = []
    for frame in [start(), *frames]:
        ((_, events),) = decoder.feed(f"data: {json.dumps(frame)}\n\n".encode())
        seen.append([type(event) for event in events])
    assert seen[2] == [PartStarted, Sealed]


def test_a_stream_that_breaks_has_counted_its_input_all_the_same():
    creation = {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 40}
    head = start(
        input_tokens=7,
        cache_read_input_tokens=900,
        cache_creation_input_tokens=43,
        cache_creation=creation,
        output_tokens=1,
    )
    *_, failed = told(head, begin(0, type="text", text=""), piece(0, "text_delta", text="Hi"))
    assert isinstance(failed, Failed)
    assert failed.usage is None
    assert failed.counted_input == Usage(input=7, cached_read=900, cache_write=3, cache_write_1h=40)
    *_, failed = told(head, *end()[:1])
    assert isinstance(failed, Failed)
    assert failed.usage == Usage(input=7, cached_read=900, cache_write=3, cache_write_1h=40, output=5)
    assert failed.counted_input is None
