"""A conversation from what was asked and what was stored: sealed thoughts get back to where they were."""

import json
from typing import Any

import msgspec
import pytest
from responses_samples import (
    ANSWERS,
    CITATION,
    ENCRYPTED,
    IDENTITY,
    SIGNED,
    SURFACE,
    frames,
    streamed,
    taped_answer,
    taped_body,
    taped_stream,
    text,
    thought,
    tool_call,
)

from quantized.core.errors import InvalidRequest
from quantized.core.parts import Reasoning, Seal, Text, ToolCall, ToolResult
from quantized.core.request import Message
from quantized.core.turns import Found, MadeCall, Turn, fingerprint
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Target
from quantized.surfaces.responses.compose import Conversation
from quantized.surfaces.responses.render import Identity

SEALED = Reasoning("Let me think.", (Seal("taped", "reasoning_details", SIGNED),))
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "7"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}


def called(turn: Turn) -> dict[str, ToolCall]:
    """The calls of an answer that came whole."""
    parts = turn.messages[-1].parts
    return {part.id: part for part in parts if isinstance(part, ToolCall)}


def compose(found: Found, *items: Any, **fields: Any) -> Conversation:
    body = json.dumps({"model": "m", "input": items, **fields}).encode()
    return SURFACE.compose(SURFACE.parse(body), found)


def found_in(*turns: Turn, continued: bool = False) -> Found:
    """As a store would find it, after the turns went through bytes; `continued`: with their history."""
    kept = [msgspec.json.decode(msgspec.json.encode(turn), type=Turn) for turn in turns]
    assert kept == list(turns)
    items = [item for turn in kept for item in (*turn.input, *turn.output)]
    return Found(
        history=tuple([message for turn in kept for message in turn.messages if continued]),
        items={item.id: item.messages for item in items},
        shown={item.id: item.json for item in items},
        reasoning={
            call: turn.thoughts[: turn.calls[call_id].thoughts]
            for turn in kept
            for call_id, call in called(turn).items()
        },
    )


def kinds(conversation: Conversation) -> list[tuple[str, list[str]]]:
    return [(m.role, [type(p).__name__ for p in m.parts]) for m in conversation.request.messages]


def test_history_stands_between_the_instructions_and_the_input():
    _, turn = streamed(ANSWERS["reasoning"], instructions="Forgotten.")
    conversation = compose(
        found_in(turn, continued=True),
        {"role": "user", "content": "And?"},
        instructions="Be brief.",
        previous_response_id=turn.id,
    )
    assert conversation.request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Hi"),)),
        Message("assistant", (Reasoning("Let me think.", turn.messages[1].parts[0].seals), Text("Paris."))),
        Message("user", (Text("And?"),)),
    )
    assert conversation.own == (Message("user", (Text("And?"),)),)
    assert not conversation.request.tools


def test_thoughts_that_a_caller_wrote_go_with_their_own_turn_only():
    copy = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
    conversation = compose(Found(), {"role": "user", "content": "Hi"}, copy, CALL, OUTPUT, copy)
    assert kinds(conversation)[1] == ("assistant", ["Reasoning", "ToolCall"])
    turn = SURFACE.turn(conversation, IDENTITY, taped_answer("openai_plain"), 0)
    assert [[type(part).__name__ for part in message.parts] for message in turn.messages] == [
        ["Text"],
        ["ToolCall"],
        ["ToolResult"],
        ["Text"],
    ]


def test_a_call_of_the_history_is_answered():
    _, turn = streamed(ANSWERS["tools"])
    conversation = compose(
        found_in(turn, continued=True),
        OUTPUT,
        {**OUTPUT, "call_id": "call_2"},
        previous_response_id=turn.id,
    )
    assert [role for role, _ in kinds(conversation)] == ["user", "assistant", "tool", "tool"]


@pytest.mark.parametrize("items", [[OUTPUT], [OUTPUT, CALL]])
def test_the_output_of_a_call_that_nobody_made(items):
    with pytest.raises(InvalidRequest) as caught:
        compose(Found(), {"role": "user", "content": "Hi"}, *items)
    assert caught.value.param == "input[1].call_id"
    assert "'call_1'" in caught.value.message


def test_a_reference_becomes_the_item():
    _, turn = streamed([*text(0, "Hello"), *tool_call(1, "call_1", "{}")])
    found = found_in(turn)
    call = turn.output[1].id
    conversation = compose(found, {"id": turn.input[0].id}, {"type": "item_reference", "id": call}, OUTPUT)
    assert kinds(conversation) == [("user", ["Text"]), ("assistant", ["ToolCall"]), ("tool", ["ToolResult"])]
    again = SURFACE.turn(conversation, Identity("resp-2", 0), taped_answer("openai_plain"), 0)
    listed = [msgspec.json.decode(item.json) for item in again.input]
    assert [item["type"] for item in listed] == ["message", "function_call", "function_call_output"]
    assert [item["id"] for item in listed] == ["msg-2-i0", "fc-2-i1", "fco-2-i2"]


def test_a_call_without_reasoning_is_a_call_all_the_same():
    _, turn = streamed([*text(0, "Hm."), *tool_call(1, "call_1", "{}")])
    assert turn.thoughts == ()
    assert turn.calls == {"call_1": MadeCall(fingerprint(ToolCall("call_1", "get_weather", "{}")), 0)}


@pytest.mark.parametrize(
    ("again", "why"),
    [
        ({"name": "get_weather", "arguments": '{"city":"Rome"}'}, "other arguments"),
        ({"name": "get_time", "arguments": '{"city":"Paris"}'}, "another function"),
    ],
)
def test_reasoning_is_asked_for_the_call_that_came_back(again, why):
    body = json.dumps({"model": "m", "input": [{**CALL, "arguments": '{"city":"Paris"}'}, {**CALL, **again}]})
    calls = SURFACE.parse(body.encode()).needs.calls
    assert calls == (
        ToolCall("call_1", "get_weather", '{"city":"Paris"}'),
        ToolCall("call_1", again["name"], again["arguments"]),
    ), why


def test_a_stored_item_is_named_once():
    """50 references of 40 bytes would make 10 MB of one item."""
    asked = compose(Found(), {"role": "user", "content": "x" * 200_000})
    large = SURFACE.turn(asked, IDENTITY, taped_answer("openai_plain"), 0)
    _, thinking = streamed(ANSWERS["reasoning"])
    thought_item = thinking.output[0].id
    item = {"type": "item_reference", "id": large.input[0].id}
    reasoning = {"type": "reasoning", "id": thought_item, "summary": []}
    for items in ([item] * 50, [reasoning] * 2, [{"id": thought_item}, reasoning]):
        with pytest.raises(InvalidRequest) as caught:
            compose(found_in(large if item in items else thinking), *items)
        assert (caught.value.param, caught.value.code) == ("input[1].id", "invalid_value")
        assert items[1]["id"] in caught.value.message
    # What is not stored is as long as it was written.
    assert len(compose(Found(), reasoning, reasoning).items) == 2


def test_a_reference_to_nothing_is_named():
    with pytest.raises(InvalidRequest) as caught:
        compose(Found(), {"id": "msg-9"})
    assert (caught.value.param, caught.value.code) == ("input[0].id", "item_not_found")
    assert "'msg-9'" in caught.value.message


def test_reasoning_with_its_id_comes_back_sealed():
    said, turn = streamed(ANSWERS["reasoning"])
    output = frames(said)[-1]["response"]["output"]
    conversation = compose(found_in(turn), {"role": "user", "content": "Hi"}, *output)
    assert conversation.request.messages == turn.messages


def test_reasoning_with_an_id_that_nobody_knows_is_its_text():
    said, _ = streamed(ANSWERS["reasoning"])
    output = frames(said)[-1]["response"]["output"]
    conversation = compose(Found(), *output)
    assert conversation.request.messages[0].parts[0] == Reasoning("Let me think.")


@pytest.mark.parametrize(
    "copy", [[], [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]}]]
)
def test_reasoning_comes_back_with_the_call_it_led_to(copy):
    """To clients that send items back without ids, or leave the thinking out."""
    _, turn = streamed([*thought(0, "Let me think.", seals=(SIGNED,)), *tool_call(1, "call_1", "{}")])
    conversation = compose(found_in(turn), {"role": "user", "content": "Hi"}, *copy, CALL, OUTPUT)
    assert conversation.request.messages[1].parts == (SEALED, ToolCall("call_1", "get_weather", "{}"))


def test_reasoning_goes_before_the_text_and_what_came_between_two_calls_between_them():
    events = [
        *thought(0, "One.", seals=(SIGNED,)),
        *text(1, "Let me look."),
        *tool_call(2, "call_1", "{}"),
        *thought(3, "Two.", seals=(SIGNED,)),
        *tool_call(4, "call_2", "{}"),
        *thought(5, seals=(ENCRYPTED,)),
    ]
    _, turn = streamed(events)
    assert turn.calls == {
        "call_1": MadeCall(fingerprint(called(turn)["call_1"]), 1),
        "call_2": MadeCall(fingerprint(called(turn)["call_2"]), 3),
    }
    second = {**CALL, "call_id": "call_2"}
    said = {"role": "assistant", "content": "Let me look."}
    parts = compose(found_in(turn), said, CALL, second).request.messages[0].parts
    assert [part.text if isinstance(part, Reasoning) else type(part).__name__ for part in parts] == [
        "One.",
        "Text",
        "ToolCall",
        "Two.",
        None,
        "ToolCall",
    ]


def test_equal_thoughts_are_not_mixed_up():
    events = [*thought(0, seals=(ENCRYPTED,)), *thought(1, seals=(ENCRYPTED,)), *tool_call(2, "call_1", "{}")]
    _, turn = streamed(events)
    parts = compose(found_in(turn), CALL).request.messages[0].parts
    assert [type(part).__name__ for part in parts] == ["Reasoning", "Reasoning", "ToolCall"]


def test_each_turn_gets_its_own_reasoning():
    _, first = streamed([*thought(0, "One.", seals=(SIGNED,)), *tool_call(1, "call_1", "{}")])
    _, second = streamed([*thought(0, "Two.", seals=(SIGNED,)), *tool_call(1, "call_2", "{}")])
    later = {**CALL, "call_id": "call_2"}
    found = found_in(first, second)
    messages = compose(found, CALL, OUTPUT, later, {**OUTPUT, "call_id": "call_2"}).request.messages
    assert [m.parts[0].text for m in messages if m.role == "assistant"] == ["One.", "Two."]


@pytest.mark.parametrize(
    ("name", "replay"),
    [
        ("openrouter_reasoning", "previous_response_id"),
        ("openrouter_reasoning", "items with ids"),
        ("openrouter_reasoning_encrypted", "previous_response_id"),
        ("openrouter_reasoning_encrypted", "items with ids"),
        # Known by the call that it led to; the other tape has none.
        ("openrouter_reasoning_encrypted", "items without ids"),
    ],
)
@pytest.mark.parametrize("way", ["unstreamed", "streamed"])
def test_a_provider_gets_its_own_blocks_back_byte_for_byte(name, way, replay):
    """Through the store and through every way that a client has to go on."""
    provider = openrouter("key")
    _, turn = taped_stream(name)
    if way == "unstreamed":
        start = compose(Found(), {"role": "user", "content": "Hi"})
        turn = SURFACE.turn(start, IDENTITY, taped_answer(name), 0)
    output = [msgspec.json.decode(item.json) for item in turn.output]
    calls = [item["call_id"] for item in output if item["type"] == "function_call"]
    items: list[Any] = [{**OUTPUT, "call_id": call_id} for call_id in calls] or [
        {"role": "user", "content": "?"}
    ]
    found = found_in(renamed(turn), continued=replay == "previous_response_id")
    fields = {}
    match replay:
        case "previous_response_id":
            fields = {"previous_response_id": turn.id}
        case "items with ids":
            items = [*output, *items]
        case _:
            bare = [
                {k: v for k, v in item.items() if k != "id"} for item in output if item["type"] != "reasoning"
            ]
            items = [*bare, *items]
    conversation = compose(found, *items, **fields)
    body = provider.encode(conversation.request, Target("m", None)).body
    (sent,) = [m["reasoning_details"] for m in json.loads(body)["messages"] if "reasoning_details" in m]
    original = taped_body(name)
    assert sent == json.loads(original)["choices"][0]["message"]["reasoning_details"]
    if way == "unstreamed":
        assert original.partition(b'"reasoning_details":[')[2].partition(b"}]")[0] in body


def renamed(turn: Turn) -> Turn:
    """As OpenRouter's own: the tapes are read by a provider of another name."""
    text_of = msgspec.json.encode(turn).replace(b'"minted_by":"taped"', b'"minted_by":"openrouter"')
    return msgspec.json.decode(text_of, type=Turn)


def test_a_turn_holds_its_input_and_its_answer():
    body = [{"role": "user", "content": "Hi"}]
    conversation = compose(
        Found(history=(Message("user", (Text("before"),)),)), *body, previous_response_id="resp_1"
    )
    turn = SURFACE.turn(conversation, IDENTITY, taped_answer("openrouter_tools"), 0)
    assert turn.previous == "resp-1"
    assert turn.messages[0] == Message("user", (Text("Hi"),)), "the history is stored once"
    assert [item.call_id for item in turn.output if item.call_id] == [
        part.id for part in turn.messages[1].parts if isinstance(part, ToolCall)
    ]
    assert not any(isinstance(part, ToolResult) for message in turn.messages for part in message.parts)


def test_citations_are_for_the_caller_not_for_the_model():
    _, turn = streamed(ANSWERS["citations"])
    assert b"https://a.example" in bytes(turn.output[0].json)
    assert turn.messages[1] == Message("assistant", (Text("Hi"),))
    assert CITATION not in msgspec.json.encode(turn.messages)
