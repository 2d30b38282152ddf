"""Every kind of input item: what it becomes, and how a refusal names it."""

import json
from typing import Any

import pytest
from responses_samples import ANSWERS, SURFACE, check_response, client_reading, frames, streamed

from quantized.core.errors import InvalidRequest
from quantized.core.parts import Audio, File, Image, Reasoning, Reference, Refusal, Text, ToolCall, ToolResult
from quantized.core.request import Message
from quantized.surfaces.responses.asked import ResponsesAsked

PNG = "data:image/png;base64,AA=="
PDF = "data:application/pdf;base64,AA=="
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "7"}


def parse(*items: Any) -> ResponsesAsked:
    return SURFACE.parse(json.dumps({"model": "m", "input": items}).encode())


def message(item: Any) -> Message | None:
    (asked,) = parse(item).items
    assert asked.path == "input[0]"
    return asked.message


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
@pytest.mark.parametrize(
    "extra", [{}, {"type": "message"}, {"type": None}, {"id": "msg-1", "status": "completed"}]
)
def test_a_message_with_and_without_its_type(role, extra):
    assert message({"role": role, "content": "Hi", **extra}) == Message(role, (Text("Hi"),))


PARTS = [
    ({"type": "input_text", "text": "Hi"}, Text("Hi")),
    ({"type": "input_image", "image_url": PNG, "detail": "low"}, Image(PNG, "low")),
    ({"type": "input_image", "image_url": "https://a.example/b.png"}, Image("https://a.example/b.png")),
    ({"type": "input_image", "image_url": PNG, "file_id": None, "detail": None}, Image(PNG)),
    ({"type": "input_file", "filename": "a.pdf", "file_data": PDF}, File("a.pdf", PDF)),
    (
        {"type": "input_file", "file_url": "https://a.example/a.pdf"},
        File(None, "https://a.example/a.pdf"),
    ),
    ({"type": "input_file", "file_id": "file-1"}, File(None, None, "file-1")),
    ({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}, Audio("UklG", "wav")),
]


@pytest.mark.parametrize(("part", "read"), PARTS)
def test_parts_of_a_user_message(part, read):
    assert message({"role": "user", "content": [part]}) == Message("user", (read,))


def test_parts_of_an_assistant_message():
    said = [
        {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}], "logprobs": []},
        {"type": "output_text", "text": "b", "annotations": None, "parsed": {"x": 1}},
        {"type": "refusal", "refusal": "no"},
        {"type": "input_text", "text": "c"},
    ]
    expected = (Text("a"), Text("b"), Refusal("no"), Text("c"))
    assert message({"role": "assistant", "content": said, "phase": None}) == Message("assistant", expected)
    assert message({"role": "assistant", "content": []}) == Message("assistant", ())


def test_calls_and_what_they_returned():
    asked = parse(CALL, OUTPUT)
    assert asked.request.messages == (
        Message("assistant", (ToolCall("call_1", "f", "{}"),)),
        Message("tool", (ToolResult("call_1", (Text("7"),)),)),
    )
    assert asked.needs.calls == (ToolCall("call_1", "f", "{}"),)
    parts = [{"type": "input_text", "text": "7"}, {"type": "input_image", "image_url": PNG}]
    assert message({**OUTPUT, "output": parts, "id": None, "status": None}) == Message(
        "tool", (ToolResult("call_1", (Text("7"), Image(PNG))),)
    )


def test_reasoning_that_is_sent_back():
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    full = [{"type": "reasoning_text", "text": "c"}]
    assert message({"type": "reasoning", "summary": summary}) == Message("assistant", (Reasoning("a\n\nb"),))
    assert message({"type": "reasoning", "summary": summary, "content": full}) == Message(
        "assistant", (Reasoning("c"),)
    )
    item = {
        "type": "reasoning",
        "id": "rs-1",
        "summary": [],
        "encrypted_content": None,
        "status": "completed",
    }
    assert message(item) == Message("assistant", ())
    assert parse(item).needs.items == ("rs-1",)


@pytest.mark.parametrize("extra", [{}, {"type": None}, {"type": "item_reference"}])
def test_a_reference(extra):
    asked = parse({"id": "msg-1", **extra})
    assert asked.request.messages == (Message("user", (Reference("msg-1"),)),)
    assert asked.needs.items == ("msg-1",)


def test_a_search_is_taken_and_not_forwarded():
    action = {"type": "search", "query": "q", "sources": None}
    search = {"type": "web_search_call", "id": "ws-1", "status": "completed", "action": action}
    assert message(search) is None
    assert parse(search, {"role": "user", "content": "Hi"}).request.messages == (
        Message("user", (Text("Hi"),)),
    )


def test_an_image_that_was_generated():
    item = {"type": "image_generation_call", "id": "ig-1", "status": "completed", "result": "AA=="}
    assert message({**item, "output_format": "webp"}) == Message(
        "assistant", (Image("data:image/webp;base64,AA=="),)
    )
    assert message(item) == Message("assistant", (Image(PNG),))
    assert message({**item, "result": "https://a.example/b.png"}) == Message(
        "assistant", (Image("https://a.example/b.png"),)
    )


def test_the_items_of_one_answer_are_one_turn():
    asked = parse(
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
        {"role": "assistant", "content": "Let me look."},
        CALL,
        {**CALL, "call_id": "call_2"},
        OUTPUT,
        {**OUTPUT, "call_id": "call_2"},
        {"role": "assistant", "content": "Done."},
    )
    assert [(m.role, [type(p).__name__ for p in m.parts]) for m in asked.request.messages] == [
        ("user", ["Text"]),
        ("assistant", ["Reasoning", "Text", "ToolCall", "ToolCall"]),
        ("tool", ["ToolResult"]),
        ("tool", ["ToolResult"]),
        ("assistant", ["Text"]),
    ]


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("way", ["dumped", "without nulls", "as they came"])
def test_the_output_of_an_answer_can_be_sent_back(name, way):
    """As an SDK's user would: the items of `response.output`, dumped in this way or that."""
    said, turn = streamed(ANSWERS[name])
    output = check_response(frames(said)[-1]["response"]).output
    items = [item.model_dump(exclude_none=way == "without nulls") for item in output]
    if way == "as they came":
        items = frames(said)[-1]["response"]["output"]
    user = {"role": "user", "content": "Go on."}
    asked = parse({"role": "user", "content": "Hi"}, *items, *answers_to(items), user)
    assert asked.needs.calls == tuple(item.messages[0].parts[0] for item in turn.output if item.call_id)
    texts = [part for m in asked.request.messages for part in m.parts if isinstance(part, Text) and part.text]
    kept = [part for m in turn.messages for part in m.parts if isinstance(part, Text)]
    assert texts == [*kept, Text("Go on.")]


def answers_to(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**OUTPUT, "call_id": item["call_id"]} for item in items if item["type"] == "function_call"]


def test_the_output_of_a_parsed_stream_can_be_sent_back():
    said, _ = streamed([*ANSWERS["summary"]])
    with (
        client_reading(said, "text/event-stream") as client,
        client.responses.stream(model="m", input="Hi") as stream,
    ):
        output = stream.get_final_response().output
    asked = parse(*[item.model_dump() for item in output])
    assert [type(part).__name__ for part in asked.request.messages[0].parts] == ["Reasoning", "ToolCall"]


USER = {"role": "user"}
BAD = [
    (5, "input[0]", "invalid_type"),
    (None, "input[0]", "invalid_type"),
    ({}, "input[0].role", "missing_required_parameter"),
    ({"content": "Hi"}, "input[0].role", "missing_required_parameter"),
    ({"role": "tool", "content": "Hi"}, "input[0].role", "invalid_value"),
    ({"role": 5, "content": "Hi"}, "input[0].role", "invalid_type"),
    ({"type": "computer_call"}, "input[0].type", "invalid_value"),
    ({"type": 5}, "input[0].type", "invalid_type"),
    (USER, "input[0].content", "missing_required_parameter"),
    ({**USER, "content": None}, "input[0].content", "invalid_type"),
    ({**USER, "content": []}, "input[0].content", "invalid_value"),
    ({**USER, "content": "Hi", "name": "x"}, "input[0].name", "unknown_parameter"),
    ({**USER, "content": [{"text": "Hi"}]}, "input[0].content[0].type", "missing_required_parameter"),
    ({**USER, "content": [{"type": "text", "text": "Hi"}]}, "input[0].content[0].type", "invalid_value"),
    (
        {**USER, "content": [{"type": "output_text", "text": "x"}]},
        "input[0].content[0].type",
        "invalid_value",
    ),
    (
        {**USER, "content": [{"type": "input_image", "image_url": "ftp://a"}]},
        "input[0].content[0].image_url",
        "invalid_value",
    ),
    (
        {**USER, "content": [{"type": "input_image", "file_id": "file-1", "image_url": PNG}]},
        "input[0].content[0].file_id",
        "invalid_type",
    ),
    (
        {**USER, "content": [{"type": "input_image"}]},
        "input[0].content[0].image_url",
        "missing_required_parameter",
    ),
    (
        {**USER, "content": [{"type": "input_file", "filename": "a"}]},
        "input[0].content[0].file_data",
        "missing_required_parameter",
    ),
    (
        {**USER, "content": [{"type": "input_file", "file_data": PDF, "file_id": "f"}]},
        "input[0].content[0].file_id",
        "invalid_value",
    ),
    (
        {**USER, "content": [{"type": "input_file", "file_data": "https://a.example"}]},
        "input[0].content[0].file_data",
        "invalid_value",
    ),
    (
        {**USER, "content": [{"type": "input_file", "file_url": PDF}]},
        "input[0].content[0].file_url",
        "invalid_value",
    ),
    (
        {"role": "system", "content": [{"type": "input_image", "image_url": PNG}]},
        "input[0].content[0].type",
        "invalid_value",
    ),
    (
        {"role": "assistant", "content": [{"type": "output_text", "text": "", "annotations": {}}]},
        "input[0].content[0].annotations",
        "invalid_type",
    ),
    ({"role": "assistant", "content": "", "phase": "commentary"}, "input[0].phase", "invalid_type"),
    ({**CALL, "call_id": ""}, "input[0].call_id", "invalid_value"),
    ({**CALL, "arguments": {}}, "input[0].arguments", "invalid_type"),
    ({"type": "function_call", "name": "f"}, "input[0].call_id", "missing_required_parameter"),
    ({**OUTPUT, "output": 5}, "input[0].output", "invalid_type"),
    ({"type": "function_call_output", "output": "7"}, "input[0].call_id", "missing_required_parameter"),
    (
        {**OUTPUT, "output": [{"type": "input_audio", "input_audio": {"data": "a", "format": "b"}}]},
        "input[0].output[0].type",
        "invalid_value",
    ),
    ({"type": "reasoning", "encrypted_content": "gAAA"}, "input[0].encrypted_content", "invalid_type"),
    ({"type": "reasoning", "summary": "x"}, "input[0].summary", "invalid_type"),
    ({"type": "item_reference"}, "input[0].id", "missing_required_parameter"),
    ({"type": "web_search_call", "action": []}, "input[0].action", "invalid_type"),
    ({"type": "image_generation_call", "result": None}, "input[0].result", "invalid_type"),
]


@pytest.mark.parametrize(("item", "path", "code"), BAD)
def test_a_refusal_names_the_path(item, path, code):
    with pytest.raises(InvalidRequest) as caught:
        parse(item)
    assert (caught.value.param, caught.value.code) == (path, code)
    assert f"'{path}'" in caught.value.message
    assert SURFACE.render_error(caught.value).status == 422


def test_the_path_counts_the_items():
    with pytest.raises(InvalidRequest) as caught:
        parse({"role": "user", "content": "Hi"}, {"role": "user", "content": [{"type": "input_text"}]})
    assert caught.value.param == "input[1].content[0].text"
