"""What the tapes do not show: single quirks of a Converse answer, and what becomes of each."""

import json

import pytest
from converse_answers import failure, streamed, told, unavailable, whole
from converse_tapes import (
    PIXEL,
    START,
    call,
    delta,
    exception,
    framed,
    message_stop,
    metadata,
    stop,
    text,
    thought,
)
from taped import BODIES, CONVERSE, REQUEST

from quantized.core.errors import RejectedByProvider
from quantized.core.events import ArgumentsDelta, Failed, Finished, PartStarted, TextDelta
from quantized.core.fold import Answer, fold
from quantized.core.parts import OutputImage, OutputText, Reasoning, ToolCall
from quantized.core.usage import Bill, Usage
from quantized.providers.bedrock.decode import StreamDecoder
from quantized.providers.bedrock.seals import read
from quantized.surfaces.chat.surface import ChatSurface


def taped(name: str) -> Answer:
    return fold(CONVERSE.decode_body(REQUEST, BODIES[f"bedrock_{name}"]))


# How it ends


def test_the_end_comes_with_the_usage_and_not_before():
    decoder = StreamDecoder("bedrock", "m", "anthropic")
    before = [
        event for _, told in decoder.feed(framed([START, *text(0, "Hi"), message_stop()])) for event in told
    ]
    assert not any(isinstance(event, Finished | Failed) for event in before)
    ((_, after),) = decoder.feed(framed([metadata()]))
    assert after[-1] == Finished("stop", Usage(input=24, output=19))
    assert decoder.close() == ()


def test_without_metadata_an_answer_may_have_been_cut():
    assert isinstance(told(framed([START, *text(0, "Hi"), message_stop()]))[-1], Failed)


def test_metadata_without_usage_ends_an_answer_whose_usage_is_unknown():
    events = told(framed([START, *text(0, "Hi"), message_stop(), ("metadata", {})]))
    assert events[-1] == Finished("stop", None)


def test_metadata_that_counts_nothing_does_not_end_the_answer():
    empty = ("metadata", {"metrics": {"latencyMs": 1}})
    events = told(framed([START, *text(0, "Hi"), message_stop(), empty, metadata(), empty]))
    assert events[-1] == Finished("stop", Usage(input=24, output=19))


def test_metadata_may_come_first():
    events = told(framed([START, *text(0, "Hi"), metadata(), message_stop()]))
    assert events[-1] == Finished("stop", Usage(input=24, output=19))


def test_nothing_is_read_after_the_end():
    good = framed([START, *text(0, "Hi"), message_stop(), metadata()])
    late = framed([delta(1, text="more")])
    assert told(good, late, b"noise") == told(good)
    assert told(good + late + b"noise") == told(good)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
    ],
)
def test_why_it_stopped(reason, finish):
    assert fold(streamed(*text(0, "Hi"), reason=reason)).finish == finish
    assert fold(whole({"text": "Hi"}, reason=reason)).finish == finish


@pytest.mark.parametrize("reason", ["malformed_tool_use", "malformed_model_output", "vibes", "", "a b"])
def test_an_end_that_is_none(reason):
    for events in (streamed(*text(0, "Hi"), reason=reason), whole({"text": "Hi"}, reason=reason)):
        fault = unavailable(events)
        assert not fault.retryable, "the model has answered, and is to be paid"
        assert "stopReason" in (fault.cause or "")
        assert "a b" not in (fault.cause or "")
        assert failure(events).usage == Usage(input=24, output=19)


# What it counts


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({}, Usage(input=7, output=3)),
        (
            {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 0, "cacheDetails": []},
            Usage(input=7, output=3, cached_read=100),
        ),
        ({"cacheWriteInputTokens": 50}, Usage(input=7, output=3, cache_write=50)),
        (
            {"cacheWriteInputTokens": 50, "cacheDetails": [{"ttl": "1h", "inputTokens": 50}]},
            Usage(input=7, output=3, cache_write_1h=50),
        ),
        (
            {
                "cacheWriteInputTokens": 50,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 30}],
            },
            Usage(input=7, output=3, cache_write=30, cache_write_1h=20),
        ),
        (
            {"cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {"ttl": "5m", "inputTokens": 30}]},
            Usage(input=7, output=3, cache_write=30, cache_write_1h=20),
        ),
        (
            {"cacheWriteInputTokens": 10, "cacheDetails": [{"ttl": "1h", "inputTokens": 20}, {}]},
            Usage(input=7, output=3, cache_write_1h=10),
        ),
        ({"inputTokens": -5}, Usage(output=3)),
        ({"cacheDetails": None, "cacheReadInputTokens": None}, Usage(input=7, output=3)),
        ({"inputTokens": None}, None),
        ({"outputTokens": None}, None),
    ],
)
def test_what_is_counted(usage, counted):
    reported = {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10, **usage}
    assert fold(whole({"text": "Hi"}, usage=reported)).usage == counted
    assert fold(told(framed([START, *text(0, "Hi"), message_stop(), metadata(reported)]))).usage == counted


def test_a_counter_that_is_broken_is_not_believed():
    reported = {"inputTokens": 10**12, "outputTokens": 3, "totalTokens": 10}
    events = told(framed([START, *text(0, "Hi"), message_stop(), metadata(reported)]))
    assert "unreadable" in (unavailable(events).cause or "")


def test_a_prompt_is_all_that_was_read():
    body = ChatSurface().render(REQUEST, taped("claude_cache_both_ttls"), Bill(counted_of(), 1, 2))
    usage = json.loads(body)["usage"]
    assert usage["prompt_tokens"] == 7 + 1_024 + 5_000
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1_024


def counted_of() -> Usage:
    usage = taped("claude_cache_both_ttls").usage
    assert usage == Usage(input=7, output=3, cached_read=1_024, cache_write=1_000, cache_write_1h=4_000)
    return usage


# What it says


def test_calls_are_counted_by_themselves():
    """The index of a block is neither that of a call nor that of a choice."""
    renderer = ChatSurface().renderer(REQUEST)
    events = streamed(*text(0, "Hm."), *call(4, "t1", "f", "{}"), *call(9, "t2", "g"))
    said = b"".join([renderer.feed(event) for event in events[:-1]])
    chunks = [json.loads(frame.removeprefix(b"data: ")) for frame in said.split(b"\n\n") if frame]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert {choice["index"] for choice in choices} == {0}
    calls = [one for choice in choices for one in choice["delta"].get("tool_calls", ())]
    assert {one["index"] for one in calls} == {0, 1}


def test_all_blocks_may_have_one_index():
    events = streamed(*thought(0, "Hm", signature="s"), *text(0, "Hi"), *call(0, "t1", "f"))
    assert (
        fold(events).parts
        == fold(
            whole(
                {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
                {"text": "Hi"},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}},
            )
        ).parts
    )


def test_stops_may_be_missing():
    events = [*thought(0, "Hm", signature="s"), *text(1, "Hi"), *call(2, "t1", "f", "{}")]
    stopless = [event for event in events if event[0] != "contentBlockStop"]
    assert fold(streamed(*stopless)) == fold(streamed(*events))


def test_a_start_that_says_nothing_begins_nothing():
    start = ("contentBlockStart", {"start": {}, "contentBlockIndex": 0})
    assert streamed(start, *text(0, "Hi")) == streamed(*text(0, "Hi"))
    assert streamed(start, stop(0), *text(1, "Hi")) == streamed(*text(1, "Hi"))


def test_a_block_that_turns_into_another_kind_is_two():
    parts = fold(streamed(delta(0, reasoningContent={"text": "Hm"}), delta(0, text="Hi"), stop(0))).parts
    assert parts == (Reasoning("Hm"), OutputText("Hi"))


def test_readable_and_redacted_reasoning_are_two_blocks():
    pieces = [{"text": "Hm"}, {"signature": "s"}, {"redactedContent": "AAEC"}]
    (part,) = fold(streamed(*[delta(0, reasoningContent=piece) for piece in pieces], stop(0))).parts
    assert isinstance(part, Reasoning)
    sealed = [read(seal, "anthropic") for seal in part.seals]
    assert [one.block for one in sealed if one is not None] == [
        {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AAEC"}},
    ]


def test_a_signature_in_pieces_is_one():
    whole_one = fold(streamed(*thought(0, "Hm", signature="abcd")))
    pieces = [{"text": "Hm"}, {"signature": "ab"}, {"signature": "cd"}]
    assert fold(streamed(*[delta(0, reasoningContent=piece) for piece in pieces], stop(0))) == whole_one


def test_what_nobody_signed_is_shown_and_not_sealed():
    (thinking, _) = taped("deepseek_reasoning").parts
    assert thinking == Reasoning("Okay, so France.")


def test_reasoning_that_is_cut_off_is_not_sealed():
    events = told(framed([START, *thought(0, "Hm", signature="s")[:-1]]))
    assert [type(event).__name__ for event in events] == [
        "Started",
        "PartStarted",
        "ReasoningDelta",
        "PartFinished",
        "Failed",
    ]


def test_what_only_the_maker_reads_is_shown_to_nobody():
    (thinking, said) = taped("claude_redacted_thinking").parts
    assert isinstance(thinking, Reasoning)
    assert thinking.text is None
    assert len(thinking.seals) == 1
    assert said == OutputText("Paris.")


def test_arguments_are_json_from_nothing():
    events = streamed(*call(0, "t1", "f", "", ""))
    assert [event.text for event in events if isinstance(event, ArgumentsDelta)] == ["{}"]
    for told_input in ({}, None):
        (made,) = fold(whole({"toolUse": {"toolUseId": "t1", "name": "f", "input": told_input}})).parts
        assert made == ToolCall("t1", "f", "{}")
    (made,) = fold(whole({"toolUse": {"toolUseId": "t1", "name": "f"}})).parts
    assert made == ToolCall("t1", "f", "{}")


def test_an_id_and_a_name_are_told_once():
    begun = [e for e in streamed(*call(0, "t1", "f", "{", "}")) if isinstance(e, PartStarted)]
    assert [(e.kind, e.id, e.name) for e in begun] == [("tool_call", "t1", "f")]


def test_a_call_is_the_servers_own_only_where_it_says_so():
    (made,) = fold(streamed(*call(0, "t1", "f", "{}", type="tool_use"))).parts
    assert made == ToolCall("t1", "f", "{}")
    assert fold(streamed(*call(0, "t1", "f", "{}", type="server_tool_use"))).parts == ()


def test_pictures_are_whole():
    (_, picture) = taped("nova_image").parts
    assert picture == OutputImage(f"data:image/png;base64,{PIXEL}")


@pytest.mark.parametrize(
    "image",
    [
        {"format": "png", "source": {"s3Location": {"uri": "s3://a/b"}}},
        {"format": "png", "source": {"bytes": "?"}},
    ],
)
def test_a_picture_that_is_elsewhere_is_none(image):
    assert "unreadable" in (unavailable(whole({"image": image})).cause or "")
    start = ("contentBlockStart", {"start": {"image": {"format": "png"}}, "contentBlockIndex": 0})
    assert "unreadable" in (
        unavailable(streamed(start, delta(0, image={"source": image["source"]}))).cause or ""
    )


def test_citations_count_in_the_whole_text():
    (said,) = taped("claude_citations").parts
    assert isinstance(said, OutputText)
    cited = [json.loads(bytes(annotation))["url_citation"] for annotation in said.annotations]
    assert [(said.text[c["start_index"] : c["end_index"]], c["url"]) for c in cited] == [
        ("Paris", "https://a.example/paris"),
        ("in short 🥐", "https://notes.example/7"),
    ]


def test_a_member_that_is_null_is_not_there():
    (said,) = fold(whole({"text": "Hi", "toolUse": None, "reasoningContent": None})).parts
    assert said == OutputText("Hi")


# What becomes of exceptions


def test_an_exception_before_the_answer_may_be_tried_again():
    fault = unavailable(told(exception("throttlingException", "Too many requests")))
    assert fault.retryable
    assert fault.cause == "bedrock: exception in the answer, throttlingException: Too many requests"


def test_an_exception_within_the_answer_may_not():
    events = told(framed([START, *text(0, "Hi")]), exception("throttlingException", "Too many requests"))
    assert not unavailable(events).retryable
    assert TextDelta(0, "Hi") in events


def test_the_callers_own_input_is_the_callers_in_a_stream_as_well():
    fault = failure(told(exception("validationException", "Input is too long for requested model."))).fault
    assert isinstance(fault, RejectedByProvider)
    assert fault.message == "Input is too long for requested model."
    assert fault.code == "context_length_exceeded"


def test_nothing_is_read_after_an_exception():
    events = told(
        framed([START]), exception("internalServerException", "No"), framed([message_stop(), metadata()])
    )
    unavailable(events)
    assert len([event for event in events if isinstance(event, Finished | Failed)]) == 1


# What nobody knows


@pytest.mark.parametrize("odd", [{}, {"hologram": {"x": 1}}, {"reasoningContent": {}}, {"text": None}])
def test_a_piece_of_nothing_or_of_the_unknown_takes_no_text_with_it(odd):
    answer = fold(streamed(delta(0, **odd), delta(0, text="A"), delta(0, **odd), delta(0, text="B"), stop(0)))
    assert answer.parts == (OutputText("AB"),)


def test_nor_does_it_break_reasoning_in_two():
    first, last = delta(0, reasoningContent={"text": "Hm"}), delta(0, reasoningContent={"text": "m."})
    known = fold(streamed(first, last, stop(0), *text(1, "Hi")))
    assert fold(streamed(first, delta(0), delta(0, x={}), last, stop(0), *text(1, "Hi"))).parts == known.parts


def test_text_after_the_call_of_a_servers_tool_is_told():
    start = ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"type": "server_tool_use"}}})
    events = streamed(start, delta(0, toolUse={"input": "{}"}), delta(0, text="A"), stop(0))
    assert fold(events).parts == (OutputText("A"),)


def test_unknown_blocks_are_passed_over_whether_whole_or_in_pieces():
    start = ("contentBlockStart", {"contentBlockIndex": 1, "start": {"hologram": {"x": 1}}})
    odd = [start, delta(1, hologram={"y": 2}), stop(1)]
    streamed_parts = fold(streamed(*text(0, "A"), *odd, *text(2, "B"))).parts
    assert fold(whole({"text": "A"}, {"hologram": {"x": 1}}, {"text": "B"})).parts == streamed_parts
    assert streamed_parts == (OutputText("AB"),)
