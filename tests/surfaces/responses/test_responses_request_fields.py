"""Every field of a Responses request: what it becomes, where its range ends, and how a refusal names it."""

import json
from typing import Any

import pytest
from responses_samples import SURFACE

from quantized.core.errors import InvalidRequest
from quantized.core.parts import Text
from quantized.core.request import Message, ReasoningWish, Sampling, ToolChoice
from quantized.core.turns import Needs
from quantized.surfaces.responses.asked import ResponsesAsked

BASE: dict[str, Any] = {"model": "openai/gpt-4.1-mini", "input": "Hi"}
FLAT = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
NESTED = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
SEARCH = {"type": "web_search_preview"}


def parse(**fields: Any) -> ResponsesAsked:
    return SURFACE.parse(json.dumps({**BASE, **fields}).encode())


def refusal(body: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidRequest) as caught:
        SURFACE.parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    answer = SURFACE.render_error(caught.value)
    return answer.status, json.loads(answer.body)["error"]


def test_the_smallest_request():
    asked = parse()
    assert asked.request.model == "openai/gpt-4.1-mini"
    assert asked.request.messages == (Message("user", (Text("Hi"),)),)
    assert asked.request.stream is False
    assert asked.needs == Needs()


OPTIONAL = [
    "instructions",
    "max_output_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "previous_response_id",
    "stream",
]


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_says_the_same_as_nothing(field):
    given, left_out = parse(**{field: None}), parse()
    assert given == left_out


def test_instructions_come_first():
    asked = parse(instructions="Be brief.", input=[{"role": "developer", "content": "d"}])
    assert [message.role for message in asked.request.messages] == ["system", "developer"]
    assert asked.instructions == asked.request.messages[:1]
    assert parse(instructions="").request == parse().request


def test_sampling():
    asked = parse(temperature=0.5, top_p=1, frequency_penalty=-2, presence_penalty=2, max_output_tokens=1)
    assert asked.request.sampling == Sampling(
        temperature=0.5, top_p=1, frequency_penalty=-2, presence_penalty=2
    )
    assert asked.request.max_output_tokens == 1


@pytest.mark.parametrize("effort", ["none", "low", "medium", "high", None])
@pytest.mark.parametrize("exclude", [True, False, None])
def test_reasoning(effort, exclude):
    asked = parse(reasoning={"effort": effort, "exclude": exclude})
    # Thoughts are kept from the caller here, and not with the provider, which needs them back.
    assert asked.request.reasoning == (None if effort is None else ReasoningWish(effort=effort))


def test_stream_and_previous_response():
    assert parse(stream=True).request.stream is True
    assert parse(previous_response_id="resp-abc").needs == Needs(previous="resp-abc")
    assert parse(previous_response_id="resp_abc").needs == Needs(previous="resp-abc")


@pytest.mark.parametrize("tool", [FLAT, NESTED])
def test_functions_flat_and_nested_are_the_same(tool):
    (read,) = parse(tools=[tool]).request.tools or ()
    assert (read.name, read.description, read.strict) == ("f", "d", True)
    assert bytes(read.parameters or b"") == b'{"type": "object"}'


def test_a_function_as_the_sdk_sends_it():
    (read,) = (
        parse(tools=[{"type": "function", "name": "f", "parameters": None, "strict": None}]).request.tools
        or ()
    )
    assert (read.name, read.parameters, read.strict) == ("f", None, None)


CHOICES = [
    ("auto", ToolChoice("auto")),
    ("none", ToolChoice("none")),
    ("required", ToolChoice("required")),
    ({"type": "function", "name": "f"}, ToolChoice("function", "f")),
    ({"type": "function", "function": {"name": "f"}}, ToolChoice("function", "f")),
]


@pytest.mark.parametrize(("choice", "read"), CHOICES)
def test_tool_choice(choice, read):
    asked = parse(tools=[FLAT], tool_choice=choice, parallel_tool_calls=False)
    assert asked.request.tool_choice == read
    assert asked.request.parallel_tool_calls is False


@pytest.mark.parametrize("tools", [None, [], [SEARCH]])
@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_functions_there_is_nothing_to_choose(tools, choice):
    asked = parse(tools=tools, tool_choice=choice, parallel_tool_calls=True)
    assert asked.request.tool_choice is None
    assert asked.request.parallel_tool_calls is None
    assert asked.request.tools is None


@pytest.mark.parametrize(
    "name", ["web_search", "web_search_preview", "web_search_2025_08_26", "web_search_preview_2025_03_11"]
)
def test_web_search_under_each_of_its_names(name):
    place = {"type": "approximate", "city": "Paris", "country": "FR", "region": None}
    tool = {"type": name, "search_context_size": "low", "user_location": place, "filters": None}
    wish = parse(tools=[FLAT, tool]).request.web_search
    assert wish is not None
    assert wish.context_size == "low"
    assert json.loads(bytes(wish.location or b"")) == {
        "type": "approximate",
        "approximate": {"city": "Paris", "country": "FR"},
    }
    assert parse(tools=[{"type": name}]).request.web_search is not None


def test_no_tool_no_search():
    assert parse(tools=[SEARCH], tool_choice="none").request.web_search is None


BAD = [
    # A field of the body: 400.
    ({"input": "Hi"}, 400, "model", "missing_required_parameter"),
    ({"model": "m"}, 400, "input", "missing_required_parameter"),
    ({**BASE, "model": 5}, 400, "model", "invalid_type"),
    ({**BASE, "model": ""}, 400, "model", "invalid_value"),
    ({**BASE, "input": 5}, 400, "input", "invalid_type"),
    ({**BASE, "input": None}, 400, "input", "invalid_type"),
    ({**BASE, "input": []}, 400, "input", "invalid_value"),
    ({**BASE, "instructions": []}, 400, "instructions", "invalid_type"),
    ({**BASE, "max_output_tokens": 0}, 400, "max_output_tokens", "invalid_value"),
    ({**BASE, "max_output_tokens": 1.5}, 400, "max_output_tokens", "invalid_type"),
    ({**BASE, "max_output_tokens": "9"}, 400, "max_output_tokens", "invalid_type"),
    ({**BASE, "temperature": 2.1}, 400, "temperature", "invalid_value"),
    ({**BASE, "temperature": "hot"}, 400, "temperature", "invalid_type"),
    ({**BASE, "top_p": -0.1}, 400, "top_p", "invalid_value"),
    ({**BASE, "top_p": 1.1}, 400, "top_p", "invalid_value"),
    ({**BASE, "frequency_penalty": 2.1}, 400, "frequency_penalty", "invalid_value"),
    ({**BASE, "presence_penalty": -2.1}, 400, "presence_penalty", "invalid_value"),
    ({**BASE, "tools": {}}, 400, "tools", "invalid_type"),
    ({**BASE, "tool_choice": "some"}, 400, "tool_choice", "invalid_value"),
    ({**BASE, "tool_choice": "required"}, 400, "tool_choice", "invalid_value"),
    ({**BASE, "parallel_tool_calls": "yes"}, 400, "parallel_tool_calls", "invalid_type"),
    ({**BASE, "reasoning": "low"}, 400, "reasoning", "invalid_type"),
    ({**BASE, "previous_response_id": 5}, 400, "previous_response_id", "invalid_type"),
    ({**BASE, "stream": "true"}, 400, "stream", "invalid_type"),
    ([], 400, None, "invalid_type"),
    (b"{", 400, None, "invalid_json"),
    (b"", 400, None, "invalid_json"),
    # Inside of a field: 422.
    ({**BASE, "reasoning": {"effort": "xhigh"}}, 422, "reasoning.effort", "invalid_value"),
    ({**BASE, "reasoning": {"effort": "minimal"}}, 422, "reasoning.effort", "invalid_value"),
    ({**BASE, "reasoning": {"summary": "auto"}}, 422, "reasoning.summary", "unknown_parameter"),
    ({**BASE, "reasoning": {"max_tokens": 5}}, 422, "reasoning.max_tokens", "unknown_parameter"),
    ({**BASE, "tools": [{"type": "code_interpreter"}]}, 422, "tools[0].type", "invalid_value"),
    ({**BASE, "tools": [{"type": "function"}]}, 422, "tools[0].name", "missing_required_parameter"),
    ({**BASE, "tools": [{"type": "function", "name": "a b"}]}, 422, "tools[0].name", "invalid_value"),
    ({**BASE, "tools": [FLAT, NESTED]}, 422, "tools[1].function.name", "invalid_value"),
    ({**BASE, "tools": [{**FLAT, **NESTED}]}, 422, "tools[0].function", "invalid_value"),
    ({**BASE, "tools": [{**NESTED, "parameters": {}}]}, 422, "tools[0].function", "invalid_value"),
    ({**BASE, "tools": [{**FLAT, "parameters": []}]}, 422, "tools[0].parameters", "invalid_type"),
    ({**BASE, "tools": [SEARCH, SEARCH]}, 422, "tools[1].type", "invalid_value"),
    (
        {**BASE, "tools": [{**SEARCH, "filters": {"allowed_domains": ["a.example"]}}]},
        422,
        "tools[0].filters",
        "invalid_type",
    ),
    ({**BASE, "tool_choice": {"type": "function"}}, 422, "tool_choice.name", "invalid_value"),
    ({**BASE, "tool_choice": {"type": "web_search_preview"}}, 422, "tool_choice.type", "invalid_value"),
    (
        {**BASE, "tools": [FLAT], "tool_choice": {"type": "function", "name": "g"}},
        422,
        "tool_choice.name",
        "invalid_value",
    ),
    (
        {**BASE, "tools": [FLAT], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        422,
        "tool_choice.function.name",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("body", "status", "param", "code"), BAD)
def test_a_refusal_names_the_field(body, status, param, code):
    told_status, error = refusal(body)
    assert (told_status, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    if param is not None:
        assert f"'{param}'" in error["message"]


UNSUPPORTED = [
    "store",
    "text",
    "truncation",
    "include",
    "service_tier",
    "background",
    "top_k",
    "metadata",
    "user",
    "conversation",
    "prompt",
    "max_tool_calls",
    "top_logprobs",
    "stream_options",
    "prompt_cache_key",
    "safety_identifier",
    "seed",
    "stop",
    "messages",
    "max_tokens",
    "nonsense",
]


@pytest.mark.parametrize("field", UNSUPPORTED)
@pytest.mark.parametrize("value", [None, True, {}])
def test_an_unsupported_parameter_is_a_422_that_names_it(field, value):
    status, error = refusal({**BASE, field: value})
    assert (status, error["param"], error["code"]) == (422, field, "unknown_parameter")
    assert f"'{field}'" in error["message"]


def test_hints_say_what_to_do_instead():
    assert "'input'" in refusal({**BASE, "messages": []})[1]["message"]
    assert "'max_output_tokens'" in refusal({**BASE, "max_tokens": 5})[1]["message"]
    assert "not supported" in refusal({**BASE, "metadata": {}})[1]["message"]
    assert "'temperature'" in refusal({**BASE, "temprature": 1})[1]["message"]


def test_a_schema_that_is_nested_too_deeply():
    schema: Any = {}
    for _ in range(200):
        schema = {"a": schema}
    status, error = refusal({**BASE, "tools": [{"type": "function", "name": "f", "parameters": schema}]})
    assert (status, error["code"], error["param"]) == (400, "nested_too_deeply", "tools[0].parameters")
