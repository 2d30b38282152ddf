"""When a tool call that a client sends back is the one that a model made."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantized.core.parts import ToolCall
from quantized.core.turns import fingerprint

_leaves = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"))
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def of(arguments: str, name: str = "look") -> str:
    return fingerprint(ToolCall("call_1", name, arguments))


@given(_values, _values)
def test_equal_arguments_are_the_same_however_they_are_written(one: object, other: object) -> None:
    spread = json.dumps(one, indent=2, ensure_ascii=False, sort_keys=True)
    assert of(json.dumps(one, separators=(",", ":"))) == of(spread)
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (of(json.dumps(one)) == of(json.dumps(other))) is same


def test_another_function_is_another_call() -> None:
    assert of("{}") != of("{}", "hear")


@pytest.mark.parametrize(
    "arguments", ["", "{", '"\ud800"', "[" * 200_000, "[" * 200_000 + "]" * 200_000, "1e999"]
)
def test_what_is_no_json_is_compared_as_text(arguments: str) -> None:
    assert of(arguments) == of(arguments)
    assert of(arguments) != of(arguments + " ")
