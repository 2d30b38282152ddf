"""Each documented field: what it accepts, what it becomes, and how it is refused."""

import json
from typing import Any

import pytest
from msgspec import Raw

from quantized.core.errors import InvalidRequest, MissingField, UnknownField
from quantized.core.parts import CacheMark
from quantized.core.request import (
    AudioOutput,
    GenerationRequest,
    JsonSchema,
    OutputFormat,
    ReasoningWish,
    Sampling,
    Tool,
    ToolChoice,
    WebSearch,
)
from quantized.surfaces.chat.schema import ChatCompletionRequest
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
HELLO = [{"role": "user", "content": "Hello!"}]


def parse(**fields: Any) -> GenerationRequest:
    return SURFACE.parse(json.dumps({"model": "openai/gpt-4.1-mini", "messages": HELLO, **fields}).encode())


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(**fields)
    return caught.value


def test_the_documented_fields_are_all_there() -> None:
    table = """model messages max_tokens max_completion_tokens temperature top_p top_k frequency_penalty
        presence_penalty repetition_penalty stop seed logprobs top_logprobs logit_bias response_format
        modalities audio tools tool_choice parallel_tool_calls reasoning web_search_options metadata user
        stream stream_options"""
    documented = table.split()
    assert sorted(ChatCompletionRequest.__struct_fields__) == sorted(documented)
    assert len(documented) == 27


@pytest.mark.parametrize("field", sorted({*ChatCompletionRequest.__struct_fields__} - {"model", "messages"}))
def test_null_says_the_same_as_leaving_it_out(field: str) -> None:
    assert parse(**{field: None}) == parse()


SAMPLING: list[tuple[dict[str, Any], Sampling]] = [
    ({"temperature": 0}, Sampling(temperature=0.0)),
    ({"temperature": 2.0}, Sampling(temperature=2.0)),
    ({"top_p": 0.25}, Sampling(top_p=0.25)),
    ({"top_k": 40.0}, Sampling(top_k=40)),
    ({"top_k": 0}, Sampling(top_k=0)),
    ({"frequency_penalty": -2}, Sampling(frequency_penalty=-2.0)),
    ({"presence_penalty": 2}, Sampling(presence_penalty=2.0)),
    ({"repetition_penalty": 1.1}, Sampling(repetition_penalty=1.1)),
    ({"seed": -(2**63)}, Sampling(seed=-(2**63))),
    ({"seed": 2**63 - 1}, Sampling(seed=2**63 - 1)),
    ({"stop": "END"}, Sampling(stop=("END",))),
    ({"stop": ["a", "b", "c", "d"]}, Sampling(stop=("a", "b", "c", "d"))),
    ({"logit_bias": {"50256": -100}}, Sampling(logit_bias={"50256": -100.0})),
    ({"logprobs": True, "top_logprobs": 20}, Sampling(logprobs=True, top_logprobs=20)),
    ({"logprobs": False}, Sampling(logprobs=False)),
]


@pytest.mark.parametrize(("fields", "sampling"), SAMPLING, ids=lambda value: str(value)[:40])
def test_sampling(fields: dict[str, Any], sampling: Sampling) -> None:
    assert parse(**fields).sampling == sampling


WISHES: list[tuple[dict[str, Any], str, Any]] = [
    ({"max_tokens": 128}, "max_output_tokens", 128),
    ({"max_completion_tokens": 1}, "max_output_tokens", 1),
    ({"max_tokens": 9, "max_completion_tokens": 9}, "max_output_tokens", 9),
    ({"response_format": {"type": "text"}}, "output_format", OutputFormat("text")),
    ({"response_format": {"type": "json_object"}}, "output_format", OutputFormat("json_object")),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True},
            }
        },
        "output_format",
        OutputFormat("json_schema", JsonSchema("a", Raw(b'{"type": "object"}'), None, True)),
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": None}}},
        "output_format",
        OutputFormat("json_schema", JsonSchema("a")),
    ),
    ({"modalities": ["text", "audio"]}, "modalities", ("text", "audio")),
    ({"audio": {"voice": "alloy", "format": "wav"}}, "audio", AudioOutput("alloy", "wav")),
    ({"tools": [WEATHER]}, "tools", (Tool("get_weather", None, Raw(b'{"type": "object"}')),)),
    (
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "a.b-c", "description": "d", "parameters": None, "strict": True},
                    "cache_control": {"type": "ephemeral", "ttl": "1h"},
                }
            ]
        },
        "tools",
        (Tool("a.b-c", "d", None, True, cache=CacheMark("1h")),),
    ),
    ({"tools": [WEATHER], "tool_choice": "auto"}, "tool_choice", ToolChoice("auto")),
    ({"tools": [WEATHER], "tool_choice": "none"}, "tool_choice", ToolChoice("none")),
    ({"tools": [WEATHER], "tool_choice": "required"}, "tool_choice", ToolChoice("required")),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        "tool_choice",
        ToolChoice("function", "get_weather"),
    ),
    ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
    (
        {"reasoning": {"effort": "xhigh", "exclude": True, "enabled": True, "summary": "auto"}},
        "reasoning",
        ReasoningWish("xhigh", None, True, True, "auto"),
    ),
    ({"reasoning": {"max_tokens": 2000}}, "reasoning", ReasoningWish(max_tokens=2000)),
    ({"reasoning": {"effort": None}}, "reasoning", ReasoningWish()),
    (
        {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"city": "Bern", "country": None}},
            }
        },
        "web_search",
        WebSearch("low", Raw(b'{"type":"approximate","approximate":{"city":"Bern"}}')),
    ),
    ({"web_search_options": {}}, "web_search", WebSearch()),
    ({"metadata": {"course": "cs101"}}, "metadata", {"course": "cs101"}),
    ({"user": "u"}, "user", "u"),
    ({"stream": True}, "stream", True),
    ({"stream": True, "stream_options": {"include_usage": True}}, "stream", True),
    ({"stream_options": {"include_usage": False}}, "stream", False),
]


@pytest.mark.parametrize(("fields", "name", "value"), WISHES, ids=lambda value: str(value)[:40])
def test_wishes(fields: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(parse(**fields), name) == value


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": ""}, "model"),
    ({"model": None}, "model"),
    ({"model": 5}, "model"),
    ({"model": "m" * 257}, "model"),
    ({"messages": []}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 2**31}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_completion_tokens"),
    ({"temperature": 2.01}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"top_k": 40.5}, "top_k"),
    ({"top_k": 1e300}, "top_k"),
    ({"frequency_penalty": 2.1}, "frequency_penalty"),
    ({"presence_penalty": -2.1}, "presence_penalty"),
    ({"repetition_penalty": 0}, "repetition_penalty"),
    ({"repetition_penalty": 2.1}, "repetition_penalty"),
    ({"stop": ""}, "stop"),
    ({"stop": []}, "stop"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": ["a", 1]}, "stop[1]"),
    ({"seed": 2**63}, "seed"),
    ({"seed": 10**400}, "seed"),
    ({"logprobs": "yes"}, "logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"logprobs": False, "top_logprobs": 3}, "top_logprobs"),
    ({"logit_bias": {"1": 100.1}}, "logit_bias.1"),
    ({"logit_bias": {"one": 1}}, "logit_bias.one"),
    ({"logit_bias": []}, "logit_bias"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {}}, "response_format.type"),
    ({"response_format": {"type": "json"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
        "response_format.json_schema.name",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": []}}},
        "response_format.json_schema.schema",
    ),
    ({"response_format": {"type": "text", "json_schema": {}}}, "response_format.json_schema"),
    ({"modalities": []}, "modalities"),
    ({"modalities": ["smell"]}, "modalities[0]"),
    ({"audio": {"voice": "alloy"}}, "audio.format"),
    ({"audio": {"voice": "alloy", "format": "vinyl"}}, "audio.format"),
    ({"tools": []}, "tools"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "function", "name": "a"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "a\n"}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "a" * 129}}]}, "tools[0].function.name"),
    ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": "x"}}]},
        "tools[0].function.parameters",
    ),
    (
        {"tools": [{**WEATHER, "cache_control": {"type": "ephemeral", "ttl": "2h"}}]},
        "tools[0].cache_control.ttl",
    ),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": "always"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": 1}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "get_weather"}}, "tool_choice.name"),
    (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "get_wether"}}},
        "tool_choice.function.name",
    ),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ({"reasoning": "high"}, "reasoning"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ({"reasoning": {"max_tokens": 0}}, "reasoning.max_tokens"),
    ({"reasoning": {"max_tokens": 5, "effort": "low"}}, "reasoning.max_tokens"),
    ({"reasoning": {"budget": 1}}, "reasoning.budget"),
    ({"web_search_options": {"search_context_size": "vast"}}, "web_search_options.search_context_size"),
    (
        {"web_search_options": {"user_location": {"type": "approximate", "approximate": {"town": "x"}}}},
        "web_search_options.user_location.approximate.town",
    ),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata.a"),
    ({"metadata": {"k" * 65: "v"}}, "metadata." + "k" * 64),
    ({"metadata": {"a": "v" * 513}}, "metadata.a"),
    ({"user": 7}, "user"),
    ({"stream": "true"}, "stream"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=lambda value: str(value)[:60])
def test_refusals_name_the_field(fields: dict[str, Any], param: str) -> None:
    fault = refusal(**fields)
    assert fault.param == param
    assert param in fault.message or fault.message.startswith("Invalid key in")
    assert fault.code


@pytest.mark.parametrize("field", ["model", "messages"])
def test_required_fields(field: str) -> None:
    body = {"model": "m", "messages": HELLO}
    del body[field]
    with pytest.raises(MissingField) as caught:
        SURFACE.parse(json.dumps(body).encode())
    assert caught.value.param == field


@pytest.mark.parametrize(
    ("field", "advice"),
    [
        ("n", "send several requests"),
        ("functions", "'tools'"),
        ("function_call", "'tool_choice'"),
        ("reasoning_effort", "'reasoning' with 'effort'"),
        ("store", "not stored"),
        ("temprature", "'temperature'"),
        ("max_token", "'max_tokens'"),
        ("service_tier", "Unknown field 'service_tier'"),
    ],
)
def test_unknown_fields_are_named_with_advice(field: str, advice: str) -> None:
    fault = refusal(**{field: 1})
    assert isinstance(fault, UnknownField)
    assert fault.param == field
    assert advice in fault.message


def test_the_examples_of_the_documentation_are_accepted() -> None:
    request = SURFACE.parse(
        b'{"model": "openai/gpt-4.1-mini", "messages": [{"role": "system", "content": "You are a helpful '
        b'assistant."}, {"role": "user", "content": "What is the capital of France?"}], "max_tokens": 128, '
        b'"temperature": 0.7}'
    )
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.max_output_tokens == 128
    assert not request.stream


def test_the_depth_is_a_setting() -> None:
    parameters: Any = {}
    for _ in range(10):
        parameters = {"properties": parameters}
    tools = [{"type": "function", "function": {"name": "a", "parameters": parameters}}]
    body = json.dumps({"model": "m", "messages": HELLO, "tools": tools}).encode()
    ChatSurface(depth=15).parse(body)
    with pytest.raises(InvalidRequest) as caught:
        ChatSurface(depth=14).parse(body)
    assert caught.value.code == "nested_too_deeply"


def test_surface_names() -> None:
    assert (SURFACE.name, SURFACE.language) == ("chat", "openai_chat")
