"""Whose fault it is: the item of the input that a provider cannot take."""

import json
from typing import Any

import pytest
from responses_samples import IDENTITY, SURFACE

from quantized.core.errors import Fault, ProviderUnavailable, RejectedByProvider, UnsupportedParameter
from quantized.core.parts import Text
from quantized.core.request import Message
from quantized.core.turns import Found
from quantized.surfaces.responses.dialogue import ResponsesDialogue

CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
ITEMS = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"},
    CALL,
    {"type": "function_call_output", "call_id": "call_1", "output": "7"},
    {"type": "web_search_call", "id": "ws_1", "status": "completed"},
    {"role": "user", "content": "c"},
    {"role": "user", "content": "d"},
]
HISTORY = (Message("user", (Text("before"),)), Message("assistant", (Text("yes"),)))


def told(message: str, **fields: Any) -> tuple[str, str | None]:
    body = json.dumps({"model": "m", "input": ITEMS, **fields}).encode()
    found = Found(history=HISTORY if "previous_response_id" in fields else ())
    dialogue = ResponsesDialogue(SURFACE.compose(SURFACE.parse(body), found), IDENTITY, None)
    fault = UnsupportedParameter(
        f"'{message}' is not supported by the provider 'x': say 'auto'", param=message, code="c"
    )
    located = dialogue.located(fault)
    assert (type(located), located.code) == (UnsupportedParameter, "c")
    error = json.loads(SURFACE.render_error(located).body)["error"]
    return error["message"], error["param"]


@pytest.mark.parametrize(
    ("at", "item"),
    [
        (0, "input[0]"),
        # Two items are one turn, and which of them it was is not told.
        (1, "input"),
        (2, "input[3]"),
        (3, "input[5]"),
        (4, "input[6]"),
        (5, "input"),
    ],
)
def test_the_item_is_named_where_it_is_one(at: int, item: str) -> None:
    expected = (f"'{item}' is not supported by the provider 'x': say 'auto'", item)
    assert told(f"messages[{at}].content[0]") == expected
    assert told(f"messages[{at}]") == expected


def test_instructions_and_earlier_turns_are_no_items_and_are_counted_past() -> None:
    more = {"instructions": "Be brief.", "previous_response_id": "resp-1"}
    assert [told(f"messages[{at}].content", **more)[1] for at in range(4)] == ["input"] * 3 + ["input[0]"]
    assert told("messages[5].content", **more)[1] == "input[3]"


def test_a_plain_input_is_the_input() -> None:
    assert told("messages[0].content[0]", input="Hi") == (
        "'input' is not supported by the provider 'x': say 'auto'",
        "input",
    )


@pytest.mark.parametrize(
    "fault",
    [
        RejectedByProvider("messages[3]: bad", param="messages[3]"),
        ProviderUnavailable(cause="messages[3]"),
        UnsupportedParameter("'seed' is not supported", param="seed"),
        UnsupportedParameter("'messages[].content' is not supported", param="messages[].content"),
    ],
)
def test_no_other_fault_is_changed(fault: Fault) -> None:
    body = json.dumps({"model": "m", "input": ITEMS}).encode()
    dialogue = ResponsesDialogue(SURFACE.compose(SURFACE.parse(body), Found()), IDENTITY, None)
    assert dialogue.located(fault) is fault
