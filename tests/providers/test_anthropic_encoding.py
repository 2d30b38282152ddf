import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from anthropic_requests import (
    HAIKU_3,
    HELLO,
    OPUS_5,
    OPUS_48,
    OPUS_55,
    SONNET,
    assistant,
    encode,
    refusal,
    user,
)
from msgspec import Raw
from msgspec.structs import replace

from quantized.core.errors import UnsupportedParameter
from quantized.core.parts import CacheMark
from quantized.core.request import (
    AudioOutput,
    GenerationRequest,
    JsonSchema,
    OutputFormat,
    Sampling,
    Tool,
    ToolChoice,
    WebSearch,
)
from quantized.providers.anthropic.models import known
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.provider import Target

TOOL = Tool("f", "does f", Raw(b'{"type":"object","properties":{"a":{"type":"integer"}}}'))
TOOLS = replace(HELLO, tools=(TOOL,))
SCHEMA = b'{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}'


def sampling(**kwargs) -> GenerationRequest:
    return replace(HELLO, sampling=Sampling(**kwargs))


def schema(raw: bytes | None) -> GenerationRequest:
    source = None if raw is None else Raw(raw)
    return replace(HELLO, output_format=OutputFormat("json_schema", JsonSchema("s", source)))


def test_the_least_request_says_nothing_that_nobody_asked_for():
    assert encode(HELLO) == {
        "model": SONNET,
        "max_tokens": 4_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


def test_the_call_is_what_the_api_wants():
    for base_url in ("https://h.test/p", "https://h.test/p/", "https://h.test/p/v1", "https://h.test/p/v1/"):
        provider = AnthropicProvider(base_url, "sk-ant")
        call = provider.authorize(provider.encode(HELLO, Target(SONNET, 9)), datetime.now(UTC))
        assert call.url == "https://h.test/p/v1/messages"
        assert dict(call.headers) == {
            "x-api-key": "sk-ant",
            "anthropic-version": "2023-06-01",
            "content-type": "application/json",
            "accept": "application/json",
        }
    streamed = AnthropicProvider().encode(replace(HELLO, stream=True), Target(SONNET, 9))
    assert json.loads(streamed.body)["stream"] is True
    assert dict(streamed.headers)["accept"] == "text/event-stream"
    assert streamed.url == "https://api.anthropic.com/v1/messages"


def test_a_url_that_is_none_is_refused():
    with pytest.raises(ValueError, match="not an http"):
        AnthropicProvider("api.anthropic.com")


def test_the_provider_says_what_it_can_do():
    assert AnthropicProvider().name == "anthropic"
    capabilities = AnthropicProvider().capabilities
    assert capabilities.language == "anthropic_messages"
    assert capabilities.cap_required
    assert (capabilities.searches_per_request, capabilities.searches_read_again) == (1, True)


def test_max_tokens_is_always_sent():
    assert encode(HELLO, cap=None)["max_tokens"] == 64_000
    assert encode(replace(HELLO, max_output_tokens=7), cap=None)["max_tokens"] == 7
    assert encode(replace(HELLO, max_output_tokens=7), cap=5)["max_tokens"] == 5


def test_more_than_a_model_can_say_is_refused():
    assert refusal(replace(HELLO, max_output_tokens=64_001), cap=64_001).param == "max_tokens"
    assert refusal(replace(HELLO, max_output_tokens=64_001), cap=10).param == "max_tokens"


def test_sampling_that_the_api_has():
    body = encode(sampling(temperature=0.3, top_k=5, stop=("END", "\n\nStop")))
    assert (body["temperature"], body["top_k"]) == (0.3, 5)
    assert body["stop_sequences"] == ["END", "\n\nStop"]
    assert encode(sampling(temperature=0.3, top_p=0.9), HAIKU_3)["top_p"] == 0.9


@pytest.mark.parametrize("model", [SONNET, HAIKU_3, OPUS_48, OPUS_5, OPUS_55])
def test_what_asks_for_nothing_is_granted_unsaid(model):
    nothing = sampling(
        temperature=1.0,
        top_p=1.0,
        frequency_penalty=0.0,
        presence_penalty=0.0,
        repetition_penalty=1.0,
        logit_bias={},
        logprobs=False,
    )
    assert encode(replace(nothing, modalities=("text",)), model) == encode(HELLO, model)


def test_a_temperature_above_one_never_gets_there():
    for model in (SONNET, HAIKU_3, OPUS_55):
        assert refusal(sampling(temperature=1.01), model).param == "temperature"


def test_temperature_beside_top_p_where_the_model_refuses_it():
    assert refusal(sampling(temperature=0.5, top_p=0.5)).param == "top_p"


@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
@pytest.mark.parametrize("model", [OPUS_48, OPUS_5, OPUS_55])
def test_models_that_dropped_sampling(model, field):
    assert refusal(sampling(**{field: 0}), model).param == field


def test_what_the_api_has_not_is_refused_by_name():
    for field, value in {
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "repetition_penalty": 1.1,
        "seed": 0,
        "logit_bias": {"1": 1.0},
        "logprobs": True,
        "top_logprobs": 1,
    }.items():
        assert refusal(sampling(**{field: value})).param == field
    assert refusal(replace(HELLO, modalities=("text", "audio"))).param == "modalities"
    assert refusal(replace(HELLO, audio=AudioOutput("alloy", "wav"))).param == "audio"
    assert refusal(sampling(stop=("x", " \n"))).param == "stop"


def test_users_are_told_apart_but_not_told():
    digest = sha256(b"ann@example.com").hexdigest()
    for request in (
        replace(HELLO, user="ann@example.com"),
        replace(HELLO, metadata={"user_id": "ann@example.com"}),
        replace(HELLO, user="ann@example.com", metadata={"user_id": "ann@example.com"}),
    ):
        assert encode(request)["metadata"] == {"user_id": digest}
    assert refusal(replace(HELLO, user="a", metadata={"user_id": "b"})).param == "metadata"
    assert refusal(replace(HELLO, metadata={"k": "v"})).param == "metadata"
    assert "metadata" not in encode(replace(HELLO, metadata={}))


def test_tools():
    bare, untyped = Tool("bare"), Tool("untyped", parameters=Raw(b'{"properties":{"a":{}}}'))
    body = encode(replace(HELLO, tools=(replace(TOOL, cache=CacheMark("1h")), bare, untyped)))
    assert body["tools"] == [
        {
            "name": "f",
            "description": "does f",
            "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
        {"name": "untyped", "input_schema": {"type": "object", "properties": {"a": {}}}},
    ]
    assert "tool_choice" not in body


def test_schemas_of_no_object_are_refused():
    for raw in (b'{"type":"string"}', b'{"anyOf":[{"type":"object"}]}'):
        request = replace(HELLO, tools=(TOOL, Tool("g", parameters=Raw(raw))))
        assert refusal(request).param == "tools[1].function.parameters"


def test_names_that_the_api_does_not_take_are_refused():
    assert refusal(replace(HELLO, tools=(Tool("a.b"),))).param == "tools[0].function.name"


def test_strict_tools():
    (tool,) = encode(replace(HELLO, tools=(replace(TOOL, strict=True),)))["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert "strict" not in encode(replace(HELLO, tools=(replace(TOOL, strict=False),)))["tools"][0]
    strict = replace(HELLO, tools=(replace(TOOL, strict=True),))
    assert refusal(strict, HAIKU_3).param == "tools[0].function.strict"


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("function", "f"), None, {"type": "tool", "name": "f"}),
        (
            ToolChoice("function", "f"),
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_every_tool_choice(choice, parallel, wire):
    body = encode(replace(TOOLS, tool_choice=choice, parallel_tool_calls=parallel))
    assert body.get("tool_choice") == wire


def test_calls_that_cannot_be_demanded():
    required = replace(TOOLS, tool_choice=ToolChoice("required"))
    assert refusal(required, OPUS_55).param == "tool_choice"
    assert refusal(replace(required, tools=())).param == "tool_choice"
    # Nothing to choose among, and nothing demanded.
    assert "tool_choice" not in encode(replace(HELLO, tools=(), tool_choice=ToolChoice("auto")))


def test_a_demanded_call_goes_with_no_thinking_that_nobody_asked_for():
    body = encode(replace(TOOLS, tool_choice=ToolChoice("required")), OPUS_5)
    assert body["thinking"] == {"type": "disabled"}


def test_structured_output():
    body = encode(schema(SCHEMA))
    assert body["output_config"] == {
        "format": {"type": "json_schema", "schema": {**json.loads(SCHEMA), "additionalProperties": False}}
    }


def test_objects_are_closed_wherever_they_stand_in_a_schema():
    inner = {"type": "object", "properties": {"type": {"const": {"type": "object"}}}}
    raw = {
        "type": "object",
        "properties": {
            "a": {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
            "b": {"type": "array", "items": inner},
            "c": {"anyOf": [inner, {"$ref": "#/$defs/d"}]},
        },
        "$defs": {"d": inner},
    }
    closed = encode(schema(json.dumps(raw).encode()))["output_config"]["format"]["schema"]
    inside = {**inner, "additionalProperties": False}
    assert closed["properties"]["b"]["items"] == inside
    assert closed["properties"]["c"]["anyOf"][0] == inside
    assert closed["$defs"]["d"] == inside
    assert closed["properties"]["a"] == raw["properties"]["a"]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"object"}',
        b'{"type":"object","properties":{},"additionalProperties":true}',
        b'{"type":"array","items":{"type":"object","additionalProperties":{"type":"string"}}}',
        None,
    ],
)
def test_open_objects_are_refused(raw):
    assert refusal(schema(raw)).param == "response_format.json_schema.schema"


def test_structured_output_where_the_model_has_none():
    assert refusal(schema(SCHEMA), HAIKU_3).param == "response_format"


def test_json_mode_is_an_instruction():
    for model in (HAIKU_3, SONNET, OPUS_55):
        body = encode(replace(HELLO, output_format=OutputFormat("json_object")), model)
        assert "JSON object" in body["system"][-1]["text"]
    assert "system" not in encode(replace(HELLO, output_format=OutputFormat("text")))


def test_web_search():
    place = Raw(b'{"type":"approximate","approximate":{"city":"Bern","country":"CH","region":null}}')
    body = encode(replace(TOOLS, web_search=WebSearch("medium", place), tool_choice=ToolChoice("auto")))
    assert body["tools"][1] == {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 1,
        "user_location": {"type": "approximate", "city": "Bern", "country": "CH"},
    }
    alone = encode(replace(HELLO, web_search=WebSearch(), tool_choice=ToolChoice("required")))
    assert alone["tool_choice"] == {"type": "any"}


def test_web_search_that_cannot_be_had():
    assert refusal(replace(HELLO, web_search=WebSearch()), HAIKU_3).param == "web_search_options"
    sized = replace(HELLO, web_search=WebSearch("high"))
    assert refusal(sized).param == "web_search_options.search_context_size"
    assert refusal(replace(HELLO, tools=(Tool("web_search"),), web_search=WebSearch())).param == "tools"
    forbidden = refusal(replace(TOOLS, web_search=WebSearch(), tool_choice=ToolChoice("none")))
    assert forbidden.param == "tool_choice"
    assert "'web_search_options'" in forbidden.message
    unknown = replace(HELLO, web_search=WebSearch(), tool_choice=ToolChoice("function", "f"))
    assert refusal(unknown).param == "tool_choice"


def test_what_a_schema_is_for_is_told_with_it():
    def told(description: str | None, source: bytes = SCHEMA) -> object:
        wanted = JsonSchema("s", Raw(source), description)
        body = encode(replace(HELLO, output_format=OutputFormat("json_schema", wanted)))
        return body["output_config"]["format"]["schema"].get("description")

    described = SCHEMA.replace(b"{", b'{"description":"A count.",', 1)
    assert told("How many.") == "How many."
    assert told("How many.", described) == "How many.\n\nA count."
    assert [told(None, described), told("A count.", described)] == ["A count."] * 2


def test_prefill():
    continued = replace(HELLO, messages=(user("Count"), assistant("1,", " 2,")))
    assert encode(continued)["messages"][-1]["content"] == [
        {"type": "text", "text": "1,"},
        {"type": "text", "text": " 2,"},
    ]
    trailing = replace(HELLO, messages=(user("Count"), assistant("1,", " 2, \n")))
    assert refusal(trailing).param == "messages[1].content[1]"
    for model in ("claude-opus-4-6", OPUS_48, OPUS_55):
        assert refusal(continued, model).param == "messages"
    formatted = replace(continued, output_format=schema(SCHEMA).output_format)
    assert refusal(formatted).param == "messages"


@pytest.mark.parametrize(
    ("native_id", "output"),
    [
        ("claude-3-haiku-20240307", 4_096),
        ("claude-3-5-haiku-latest", 8_192),
        ("claude-3.5-sonnet", 8_192),
        ("claude-3-7-sonnet-20250219", 64_000),
        ("claude-4-opus-20250514", 32_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-sonnet-4-0", 64_000),
        ("claude-sonnet-4-5@20250929", 64_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-opus-4-6", 128_000),
        ("claude-fable-5-2", 128_000),
        ("claude-opus-7", 128_000),
        ("claude-2.1", 4_096),
        ("claude-instant-1.2", 4_096),
        ("claude-v1", 4_096),
    ],
)
def test_models_are_known_by_all_their_ids(native_id, output):
    assert known(native_id).max_output_tokens == output


def test_a_model_younger_than_the_table_gets_what_no_model_refuses():
    young = "claude-opus-7-1"
    body = json.loads(AnthropicProvider().encode(TOOLS, Target(young, 100)).body)
    assert set(body) == {"model", "max_tokens", "messages", "tools"}
    for request in (
        sampling(temperature=0.1),
        replace(TOOLS, tool_choice=ToolChoice("required")),
        replace(HELLO, messages=(user("a"), assistant("b"))),
    ):
        with pytest.raises(UnsupportedParameter):
            AnthropicProvider().encode(request, Target(young, 100))
