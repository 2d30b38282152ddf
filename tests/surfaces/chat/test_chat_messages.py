"""Messages of every role and shape, and histories that come back as they went out."""

import json
from typing import Any

import pytest

from quantized.core.errors import InvalidRequest
from quantized.core.parts import (
    Audio,
    AudioReference,
    CacheMark,
    File,
    Image,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from quantized.core.request import GenerationRequest, Message
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
PNG = "data:image/png;base64,iVBORw0KGgo="


def parse(*messages: Any) -> tuple[Message, ...]:
    request: GenerationRequest = SURFACE.parse(json.dumps({"model": "m", "messages": messages}).encode())
    return request.messages


def refusal(*messages: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(*messages)
    return caught.value


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def assistant(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", **fields}


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_text_of_every_role(role: Any) -> None:
    assert parse({"role": role, "content": "Hi", "name": "ann"}) == (Message(role, (Text("Hi"),), "ann"),)
    assert parse({"role": role, "content": "", "name": None}) == (Message(role, (Text(""),)),)
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": None}]
    assert parse({"role": role, "content": parts}) == (Message(role, (Text("a"), Text("b"))),)


PARTS: list[tuple[dict[str, Any], Any]] = [
    (
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        Text("a", CacheMark("1h")),
    ),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", CacheMark())),
    ({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}, Image(PNG, "low")),
    ({"type": "image_url", "image_url": {"url": "HTTPS://a/b.jpg"}}, Image("HTTPS://a/b.jpg")),
    ({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}, Audio("UklG", "wav")),
    ({"type": "file", "file": {"file_id": "file-1"}}, File(None, None, "file-1")),
    (
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        File("a.pdf", "data:application/pdf;base64,JVBE"),
    ),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_input_parts_of_users_and_tools(part: dict[str, Any], expected: Any) -> None:
    assert parse(user(part)) == (Message("user", (expected,)),)
    tool = {"role": "tool", "tool_call_id": "call_1", "content": [part]}
    assert parse(CALLING, tool)[1] == Message("tool", (ToolResult("call_1", (expected,)),))


def test_a_tool_loop_keeps_its_order() -> None:
    second = {**CALL, "id": "call_2", "index": 1}
    messages = parse(
        {"role": "user", "content": "weather?"},
        assistant(content="", tool_calls=[CALL, second]),
        {"role": "tool", "tool_call_id": "call_2", "content": "2"},
        {"role": "tool", "tool_call_id": "call_1", "content": "1", "name": "f"},
    )
    assert messages[1].parts == (Text(""), ToolCall("call_1", "f", "{}"), ToolCall("call_2", "f", "{}"))
    assert [message.parts for message in messages[2:]] == [
        (ToolResult("call_2", (Text("2"),)),),
        (ToolResult("call_1", (Text("1"),)),),
    ]


def test_everything_an_assistant_may_have_said() -> None:
    (message,) = parse(
        assistant(
            content=[{"type": "text", "text": "t"}, {"type": "refusal", "refusal": "r"}],
            refusal="no",
            reasoning="why",
            reasoning_content="why",
            reasoning_details=[
                {"type": "reasoning.encrypted", "data": "x"},
                {"type": "reasoning.text", "provider": "maker", "text": "é", "index": 1},
                {"provider": 7},
                {"provider": ""},
            ],
            audio={"id": "audio_1", "data": "UklG", "transcript": "t", "expires_at": 1},
            images=[{"type": "image_url", "image_url": {"url": PNG}, "index": 0}],
            annotations=[{"type": "url_citation", "url_citation": {}}],
            tool_calls=[CALL],
            function_call=None,
            parsed={"a": 1},
        )
    )
    assert message.parts == (
        Reasoning(
            "why",
            (
                Seal(None, "reasoning_details", b'{"type": "reasoning.encrypted", "data": "x"}'),
                Seal(
                    "maker",
                    "reasoning_details",
                    b'{"type": "reasoning.text", "provider": "maker", "text": "\\u00e9", "index": 1}',
                ),
                Seal(None, "reasoning_details", b'{"provider": 7}'),
                Seal(None, "reasoning_details", b'{"provider": ""}'),
            ),
        ),
        Text("t"),
        Refusal("r"),
        Refusal("no"),
        AudioReference("audio_1"),
        Image(PNG),
        ToolCall("call_1", "f", "{}"),
    )


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({}, ()),
        ({"content": None}, ()),
        ({"content": None, "tool_calls": [], "reasoning_details": None, "annotations": []}, ()),
        ({"reasoning_content": "why"}, (Reasoning("why"),)),
        ({"reasoning": "", "reasoning_content": None}, ()),
        ({"reasoning_details": []}, ()),
        ({"audio": {"id": "", "data": "UklG", "transcript": "said", "expires_at": 0}}, (Text("said"),)),
    ],
)
def test_what_an_assistant_left_out(fields: dict[str, Any], parts: tuple[Any, ...]) -> None:
    assert parse(assistant(**fields)) == (Message("assistant", parts),)


REFUSED: list[tuple[list[Any], str]] = [
    (["hi"], "messages[0]"),
    ([{}], "messages[0].role"),
    ([{"role": "function", "content": "x"}], "messages[0].role"),
    ([{"role": "user"}], "messages[0].content"),
    ([{"role": "user", "content": None}], "messages[0].content"),
    ([{"role": "user", "content": []}], "messages[0].content"),
    ([{"role": "user", "content": 5}], "messages[0].content"),
    ([{"role": "user", "contnt": "x"}], "messages[0].contnt"),
    ([{"role": "user", "content": "x", "name": 1}], "messages[0].name"),
    ([{"role": "user", "content": "x", "tool_calls": []}], "messages[0].tool_calls"),
    ([user({"type": "image", "image_url": {"url": PNG}})], "messages[0].content[0].type"),
    ([user({"text": "x"})], "messages[0].content[0].type"),
    ([user({"type": "text"})], "messages[0].content[0].text"),
    ([user({"type": "text", "text": "x", "txt": 1})], "messages[0].content[0].txt"),
    ([user("x")], "messages[0].content[0]"),
    ([user({"type": "refusal", "refusal": "x"})], "messages[0].content[0].type"),
    ([user({"type": "image_url", "image_url": PNG})], "messages[0].content[0].image_url"),
    ([user({"type": "image_url", "image_url": {}})], "messages[0].content[0].image_url.url"),
    ([user({"type": "image_url", "image_url": {"url": ""}})], "messages[0].content[0].image_url.url"),
    (
        [user({"type": "image_url", "image_url": {"url": "file:///etc"}})],
        "messages[0].content[0].image_url.url",
    ),
    ([user({"type": "image_url", "image_url": {"url": "data:,x"}})], "messages[0].content[0].image_url.url"),
    (
        [user({"type": "image_url", "image_url": {"url": PNG, "detail": "tiny"}})],
        "messages[0].content[0].image_url.detail",
    ),
    (
        [user({"type": "input_audio", "input_audio": {"data": "x"}})],
        "messages[0].content[0].input_audio.format",
    ),
    ([user({"type": "file", "file": {}})], "messages[0].content[0].file.file_data"),
    (
        [user({"type": "file", "file": {"file_id": "f", "file_data": PNG}})],
        "messages[0].content[0].file.file_id",
    ),
    ([user({"type": "file", "file": {"file_data": "JVBE"}})], "messages[0].content[0].file.file_data"),
    (
        [user({"type": "text", "text": "x", "cache_control": {"type": "forever"}})],
        "messages[0].content[0].cache_control.type",
    ),
    (
        [user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}})],
        "messages[0].content[0].cache_control.ttl",
    ),
    ([{"role": "system", "content": [PARTS[2][0]]}], "messages[0].content[0].type"),
    ([assistant(content=[PARTS[2][0]])], "messages[0].content[0].type"),
    ([assistant(function_call={"name": "f", "arguments": ""})], "messages[0].function_call"),
    ([assistant(tool_calls=[{**CALL, "id": ""}])], "messages[0].tool_calls[0].id"),
    ([assistant(tool_calls=[{**CALL, "type": "custom"}])], "messages[0].tool_calls[0].type"),
    (
        [assistant(tool_calls=[{**CALL, "function": {"name": "f", "arguments": {}}}])],
        "messages[0].tool_calls[0].function.arguments",
    ),
    (
        [assistant(tool_calls=[{**CALL, "function": {"name": "f"}}])],
        "messages[0].tool_calls[0].function.arguments",
    ),
    ([assistant(reasoning="a", reasoning_content="b")], "messages[0].reasoning_content"),
    ([assistant(reasoning_details={"a": 1})], "messages[0].reasoning_details"),
    ([assistant(reasoning_details=["a"])], "messages[0].reasoning_details"),
    ([assistant(audio={})], "messages[0].audio.id"),
    (
        [assistant(images=[{"type": "image_url", "image_url": {"url": "x"}}])],
        "messages[0].images[0].image_url.url",
    ),
    ([assistant(annotations=["a"])], "messages[0].annotations"),
    ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
    ([{"role": "tool", "content": "x", "tool_call_id": "call_1"}], "messages[0].tool_call_id"),
    ([CALLING, {"role": "tool", "content": "x", "tool_call_id": "call_2"}], "messages[1].tool_call_id"),
    ([{"role": "tool", "content": "x", "tool_call_id": "call_1"}, CALLING], "messages[0].tool_call_id"),
    ([CALLING, {"role": "tool", "tool_call_id": "call_1"}], "messages[1].content"),
]


@pytest.mark.parametrize(("messages", "param"), REFUSED, ids=lambda value: str(value)[:60])
def test_refusals_name_the_place(messages: list[Any], param: str) -> None:
    fault = refusal(*messages)
    assert fault.param == param
    assert f"'{param}'" in fault.message or f"'{param.rpartition('.')[0]}'" in fault.message


SIGNED = {"google": {"thought_signature": "x"}}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (assistant(extra_content=SIGNED), "messages[0].extra_content"),
        (
            assistant(tool_calls=[{**CALL, "extra_content": SIGNED}]),
            "messages[0].tool_calls[0].extra_content",
        ),
    ],
)
def test_what_servers_put_beside_is_refused_there_with_advice(message: dict[str, Any], param: str) -> None:
    """It says nothing of whose it is."""
    fault = refusal(message)
    assert fault.param == param
    assert "It is in the message's 'reasoning_details'" in fault.message


def test_the_old_function_call_is_refused_with_advice() -> None:
    fault = refusal(assistant(function_call={"name": "f", "arguments": ""}))
    assert "Use 'tool_calls' instead." in fault.message
    assert "Use the role 'tool' instead." in refusal({"role": "function", "content": "x"}).message
