"""A streamed response: legal events in a legal order that add up to the final object."""

import json
from typing import Any

import pytest
from responses_laws import check_whole
from responses_samples import (
    ANSWERS,
    BILL,
    BROKEN_TAPES,
    IDENTITY,
    SIGNED,
    STARTED,
    STREAMED,
    SURFACE,
    TAPES,
    Frames,
    check_response,
    client_reading,
    conversation,
    frames,
    streamed,
    taped_answer,
    taped_events,
    taped_stream,
    text,
    thought,
    tool_call,
)

from quantized.core.errors import LedgerUnavailable, ProviderUnavailable, RejectedByProvider
from quantized.core.events import (
    ArgumentsDelta,
    Failed,
    Finished,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
)
from quantized.core.fold import fold
from quantized.core.parts import Reasoning
from quantized.core.usage import Bill, Usage

answers = pytest.mark.parametrize("name", STREAMED)
tapes = pytest.mark.parametrize("name", TAPES)
FAULT = ProviderUnavailable(cause="cut")


@answers
def test_events_are_legal_and_add_up_to_the_final_object(name):
    said, _ = streamed(STREAMED[name])
    payloads = check_whole(said)
    assert payloads[-1]["type"] == "response.completed"


@tapes
def test_every_tape_is_legal_and_adds_up_to_the_final_object(name):
    said, turn = taped_stream(name)
    payloads = check_whole(said)
    assert [item.id for item in turn.output] == [item["id"] for item in payloads[-1]["response"]["output"]]


@tapes
def test_streamed_and_unstreamed_are_the_same_object(name):
    said, turn = taped_stream(name)
    answer = taped_answer(name)
    usage = answer.usage or Usage()
    whole = SURFACE.turn(conversation(), IDENTITY, answer, usage.web_searches)
    assert SURFACE.render(whole, Bill(usage, 1, 2)) == SURFACE.render(turn, Bill(usage, 1, 2))
    assert json.loads(SURFACE.render(whole, Bill(usage, 1, 2))) == frames(said)[-1]["response"]
    check_response(SURFACE.render(whole, Bill(usage, 1, 2)))


@pytest.mark.parametrize("name", ANSWERS)
def test_streamed_and_unstreamed_are_stored_the_same(name):
    _, turn = streamed(ANSWERS[name])
    answer = fold([STARTED, *ANSWERS[name], Finished("stop", BILL.usage)])
    assert SURFACE.turn(conversation(), IDENTITY, answer, 0) == turn


@answers
def test_the_sdk_reads_the_stream(name):
    said, _ = streamed(STREAMED[name])
    final = frames(said)[-1]["response"]
    with (
        client_reading(said, "text/event-stream") as client,
        client.responses.stream(model="m", input="Hi") as stream,
    ):
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert kinds == [payload["type"] for payload in frames(said)]
    assert response.id == IDENTITY.id
    assert [item.id for item in response.output] == [item["id"] for item in final["output"]]
    texts = [
        part["text"]
        for item in final["output"]
        for part in item.get("content") or ()
        if "annotations" in part
    ]
    assert response.output_text == "".join(texts)
    assert response.usage is not None
    assert response.usage.model_extra == {"credits_used": 2400, "credits_remaining": 997_600}


def kinds_of(said: bytes) -> list[str]:
    return [p["type"].removeprefix("response.") for p in frames(said)]


def test_the_order_of_a_text():
    assert kinds_of(streamed(text(0, "a", "b"))[0]) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_the_order_of_a_call():
    assert kinds_of(streamed(tool_call(0, "call_1", "{", "}"))[0])[2:-1] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]


def test_the_order_of_reasoning_in_full_and_in_summary():
    assert kinds_of(streamed(thought(0, "a"))[0])[2:-1] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert kinds_of(streamed(ANSWERS["summary"])[0])[2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]


def test_the_order_of_a_search():
    said, _ = streamed(ANSWERS["citations"])
    assert kinds_of(said)[-6:-1] == [
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "output_item.done",
    ]
    search = frames(said)[-1]["response"]["output"][-1]
    assert search["action"]["sources"] == [
        {"type": "url", "url": "https://a.example"},
        {"type": "url", "url": "https://b.example"},
    ]


def test_a_search_that_was_only_counted_is_told_too():
    said, turn = streamed(text(0, "Hi"), bill=Bill(Usage(web_searches=1), 1, 1))
    assert [item["type"] for item in frames(said)[-1]["response"]["output"]] == ["message", "web_search_call"]
    assert turn.output[-1].messages == ()


def test_thinking_is_over_when_talking_begins():
    """Though its provider may end it much later, together with the rest."""
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    for event in (STARTED, PartStarted(0, "reasoning"), ReasoningDelta(0, "Hm"), PartStarted(1, "text")):
        said = renderer.feed(event)
    assert said.index(b"reasoning_text.done") < said.index(b'"role":"assistant"')
    assert b"event: response.output_item.done" in said


def test_the_first_words_of_a_thought_wait_for_one_event_only():
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    renderer.feed(STARTED)
    assert renderer.feed(PartStarted(0, "reasoning")) + renderer.feed(ReasoningDelta(0, "Hm")) == b""
    said = renderer.feed(ReasoningDelta(0, "."))
    assert said.count(b"event: response.reasoning_text.delta") == 2


def told_texts(said: bytes) -> list[str]:
    return [
        item["content"][0]["text"] if "content" in item else item.get("arguments", item["type"])
        for item in frames(said)[-1]["response"]["output"]
    ]


def test_what_goes_back_and_forth_is_told_in_its_order():
    said, turn = streamed(STREAMED["back and forth"])
    assert told_texts(said) == [
        "First thought.",
        "Well, ",
        "Second thought.",
        "yes.",
        "{}",
        " And more.",
        "",  # holds a citation that nobody asked for, and that came after its text was over
        "web_search_call",
    ]
    kept = turn.messages[-1].parts
    assert [type(part).__name__ for part in kept] == ["Reasoning", "Text", "Text", "ToolCall", "Text"]
    assert kept[0].text == "First thought.Second thought.", "to its maker it is one block"


def test_text_waits_for_its_citations_where_a_search_was_asked_for():
    said, _ = streamed(STREAMED["back and forth"], tools=[{"type": "web_search"}])
    payloads = check_whole(said)
    assert told_texts(said) == [
        "First thought.",
        "Well, yes. And more.",
        "Second thought.",
        "{}",
        "web_search_call",
    ]
    (cited,) = payloads[-1]["response"]["output"][1]["content"][0]["annotations"]
    assert cited == {
        "type": "url_citation",
        "url": "https://a.example",
        "title": "A",
        "start_index": 0,
        "end_index": 2,
    }


@pytest.mark.parametrize("name", ["reasoning", "summary", "redacted reasoning", "back and forth"])
def test_excluded_reasoning_is_not_told_but_kept(name):
    said, turn = streamed(STREAMED[name], reasoning={"exclude": True})
    check_whole(said)
    assert b"reasoning_text" not in said
    assert b"summary_text" not in said
    assert "reasoning" not in {item["type"] for item in frames(said)[-1]["response"]["output"]}
    _, open_turn = streamed(STREAMED[name])
    assert turn.messages == open_turn.messages
    assert (turn.thoughts, turn.calls) == (open_turn.thoughts, open_turn.calls)


@pytest.mark.parametrize(
    ("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_incomplete_response_says_why(reason, told):
    said, turn = streamed([*thought(0, "Hm"), *text(1, "Par")], reason)
    payloads = check_whole(said)
    assert payloads[-1]["type"] == "response.incomplete"
    response = payloads[-1]["response"]
    assert response["status"] == turn.status == "incomplete"
    assert response["incomplete_details"] == {"reason": told}
    assert response["usage"]["credits_used"] == 2400
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert [part.text for part in turn.messages[-1].parts] == ["Par"]


def failed(events: list[Any], fault: Exception, bill: Bill | None) -> tuple[Frames, Any]:
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    said = b"".join([renderer.feed(event) for event in events])
    turn = renderer.turn(fault, None if bill is None else bill.usage)
    return check_whole(said + renderer.fail(fault, bill)), turn


@pytest.mark.parametrize("bill", [BILL, None])
def test_a_failure_is_told_twice_with_what_came(bill):
    payloads, turn = failed([STARTED, *text(0, "Par")], FAULT, bill)
    error, end = payloads[-2:]
    assert error["type"] == "error"
    assert error["code"] == "service_unavailable"
    assert error["message"] == "Service temporarily unavailable"
    response = end["response"]
    assert end["type"] == "response.failed"
    assert response["status"] == turn.status == "failed"
    assert response["error"] == {"code": "server_error", "message": "Service temporarily unavailable"}
    assert response["output"][0]["content"][0]["text"] == "Par"
    assert response["output"][0]["status"] == "incomplete"
    assert (response["usage"] is None) == (bill is None)


def test_a_failure_of_the_callers_own_making_says_so():
    payloads, _ = failed([STARTED], RejectedByProvider("The context is too long."), None)
    assert payloads[-1]["response"]["error"] == {
        "code": "invalid_prompt",
        "message": "The context is too long.",
    }


def test_a_failure_before_the_start_is_a_whole_stream_too():
    payloads, _ = failed([], FAULT, None)
    assert payloads[-1]["response"]["model"] == "openai/gpt-4.1-mini"


def test_a_failure_to_charge_follows_an_end_that_was_good():
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    said = b"".join([renderer.feed(event) for event in [STARTED, *text(0, "Paris")]])
    assert renderer.turn("stop", BILL.usage).status == "completed"
    said += renderer.fail(LedgerUnavailable(cause="disk"), None)
    payloads = check_whole(said)
    assert payloads[-1]["type"] == "response.failed"
    assert payloads[-1]["response"]["output"][0]["status"] == "completed"


def test_what_broke_off_and_cannot_be_used_is_not_carried_on():
    """Nobody could answer half a call, and half a thought lacks its seal."""
    _, turn = failed([STARTED, *text(0, "Hm"), *tool_call(1, "call_1", '{"ci')], FAULT, None)
    assert [type(part).__name__ for part in turn.messages[-1].parts] == ["Text"]
    assert [made.thoughts for made in turn.calls.values()] == [0], "nobody else's call has its id"
    assert turn.output[1].call_id is None
    _, turn = failed([STARTED, *thought(0, "Let me")], FAULT, None)
    assert [message.role for message in turn.messages] == ["user"]


_TWO_CALLS = [
    PartStarted(0, "tool_call", id="call_1", name="a"),
    ArgumentsDelta(0, '{"ci'),
    PartStarted(1, "tool_call", id="call_2", name="b"),
    ArgumentsDelta(1, "{}"),
]


@pytest.mark.parametrize("ended", [[], [PartFinished(0), PartFinished(1)]], ids=["open", "closed by the cut"])
def test_of_calls_that_were_under_way_together_none_is_carried_on(ended):
    cut, cut_turn = failed([STARTED, *_TWO_CALLS, *ended], FAULT, None)
    said, full_turn = streamed([*_TWO_CALLS, *ended], "length")
    for payloads, turn in ((cut, cut_turn), (check_whole(said), full_turn)):
        items = payloads[-1]["response"]["output"]
        assert [item["status"] for item in items] == ["incomplete", "incomplete"]
        assert [message.role for message in turn.messages] == ["user"]
        assert [item.call_id for item in turn.output] == [None, None]


def test_a_call_that_its_provider_ended_is_carried_on():
    payloads, turn = failed([STARTED, *tool_call(0, "call_1", "{}"), *_TWO_CALLS[2:]], FAULT, None)
    items = payloads[-1]["response"]["output"]
    assert [item["status"] for item in items] == ["completed", "incomplete"]
    assert [part.id for part in turn.messages[-1].parts] == ["call_1"]


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("seals", [(), (SIGNED,)], ids=["unsealed", "sealed"])
def test_only_a_thought_with_a_seal_is_carried_on(seals, exclude):
    events = [*thought(0, "Let me think.", seals=seals), *tool_call(1, "call_1", "{}")]
    said, turn = streamed(events, reasoning={"exclude": exclude})
    assert (b"Let me think." in said) is not exclude, "the caller reads it either way"
    assert any(isinstance(part, Reasoning) for part in turn.messages[-1].parts) is bool(seals)
    assert bool(turn.thoughts) is bool(seals)
    if not exclude:
        assert bool(turn.output[0].messages) is bool(seals)


@pytest.mark.parametrize("name", BROKEN_TAPES)
def test_a_broken_tape_fails_legally(name):
    *events, end = taped_events(f"broken/{name}")
    assert isinstance(end, Failed)
    payloads, turn = failed(events, end.fault, None)
    assert turn.status == "failed"
    with client_reading(as_stream(payloads), "text/event-stream") as client:
        kinds = [event.type for event in client.responses.create(model="m", input="Hi", stream=True)]
    assert kinds[-2:] == ["error", "response.failed"]


def as_stream(payloads: Frames) -> bytes:
    told = [f"event: {p['type']}\ndata: {json.dumps(p)}\n\n" for p in payloads]
    return ("".join(told) + "data: [DONE]\n\n").encode()


def test_ids_are_the_same_whenever_they_are_made():
    first, _ = streamed(ANSWERS["tools"])
    again, _ = streamed(ANSWERS["tools"])
    assert first == again
    assert [item["id"] for item in frames(first)[-1]["response"]["output"]] == ["fc-0a1b2c-0", "fc-0a1b2c-1"]
    assert [item["call_id"] for item in frames(first)[-1]["response"]["output"]] == ["call_1", "call_2"]


def test_one_event_makes_no_more_than_its_own_frames():
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    renderer.feed(STARTED)
    renderer.feed(PartStarted(0, "text"))
    assert renderer.feed(TextDelta(0, "Hi")).count(b"\n\n") == 1
    assert renderer.feed(PartFinished(0)) == b"", "it may have been the end of the answer"


def test_nothing_is_relayed_and_no_terminal_event_fed():
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    with pytest.raises(ValueError, match="language"):
        renderer.relay(b"{}")
    with pytest.raises(ValueError, match="terminal"):
        renderer.feed(Finished("stop", None))


def test_the_model_is_the_one_that_answered():
    renderer = SURFACE.renderer(conversation(), IDENTITY)
    said = renderer.feed(Started("x", "openai/gpt-4.1-mini-2025-04-14", 0))
    said += renderer.finish("stop", BILL)
    assert {p["response"]["model"] for p in frames(said)} == {"openai/gpt-4.1-mini-2025-04-14"}
