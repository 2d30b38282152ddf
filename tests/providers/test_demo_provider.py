"""The demo provider from the outside: a request in, the events of its answer out, streamed and not."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from quantized.core.errors import UnsupportedParameter
from quantized.core.fold import Answer, fold
from quantized.core.parts import Audio, Image, OutputText, Reasoning, Text, ToolCall, ToolResult
from quantized.core.request import (
    AudioOutput,
    GenerationRequest,
    JsonSchema,
    Message,
    OutputFormat,
    ReasoningWish,
    Sampling,
    Tool,
    ToolChoice,
)
from quantized.core.usage import Usage
from quantized.providers.demo import demo_provider
from quantized.providers.demo_upstream import DemoUpstream
from quantized.providers.provider import Target
from quantized.upstream.call import Patience, UpstreamFailure

PROVIDER = demo_provider()
PATIENCE = Patience(1, 1, 1, 1)
WEATHER = Tool(
    "get_weather",
    parameters=Raw(
        b'{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":2}}}'
    ),
)


class StoppedClock:
    def now_ms(self) -> int:
        return 1_719_000_000_500

    def monotonic(self) -> float:
        return 0.0


def wish(*parts: str | Text | Image | Audio, **fields: Any) -> GenerationRequest:
    spoken = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return GenerationRequest(model="quantized/demo", messages=(Message("user", spoken),), **fields)


async def pieces(request: GenerationRequest, pause: float = 0.0) -> list[bytes]:
    call = PROVIDER.encode(request, Target("quantized/demo", request.max_output_tokens))
    response = await DemoUpstream(StoppedClock(), pause).send(call, PATIENCE)
    assert response.status == 200
    read = []
    while piece := await response.next():
        read.append(piece)
    return read


async def ask(request: GenerationRequest) -> Answer:
    """The answer, which is the same streamed and not."""
    whole = fold(PROVIDER.decode_body(request, b"".join(await pieces(replace(request, stream=False)))))
    streaming = replace(request, stream=True)
    decoder = PROVIDER.decoder(streaming)
    streamed = fold([e for piece in await pieces(streaming) for _, es in decoder.feed(piece) for e in es])
    assert (streamed.finish, streamed.usage) == (whole.finish, whole.usage)
    assert [shape(part) for part in streamed.parts] == [shape(part) for part in whole.parts]
    assert len(streamed.logprobs_content) == len(whole.logprobs_content)
    return whole


def shape(part: Any) -> Any:
    """Without what the ids of a stream and of a body, or the fragments of a block, make different."""
    match part:
        case ToolCall(_, name, arguments):
            return name, arguments
        case Reasoning(text):
            return text
        case _:
            return part


async def text(request: GenerationRequest) -> str:
    (part,) = (await ask(request)).parts
    assert isinstance(part, OutputText)
    return part.text


async def calls(request: GenerationRequest) -> list[tuple[str, Any]]:
    answer = await ask(request)
    assert answer.finish == "tool_calls"
    return [(p.name, json.loads(p.arguments)) for p in answer.parts if isinstance(p, ToolCall)]


async def test_it_knows_the_capital_of_france():
    answer = await ask(wish("What is the capital of France?"))
    assert answer.parts == (OutputText("The capital of France is Paris."),)
    assert answer.finish == "stop"
    assert answer.usage == Usage(input=10, output=6)
    assert answer.created == 1_719_000_000
    assert answer.fingerprint is not None


async def test_it_remembers_what_the_talk_is_about():
    request = wish("What is the capital of France?")
    turns = (
        *request.messages,
        Message("assistant", (Text("Paris."),)),
        *wish("What about Germany?").messages,
    )
    assert await text(replace(request, messages=turns)) == "The capital of Germany is Berlin."


async def test_it_says_the_same_to_the_same_and_word_by_word():
    request = wish("Tell me something", stream=True)
    first = await pieces(request)
    assert first == await pieces(request)
    assert len(first) > 20
    assert first[-1] == b"data: [DONE]\n\n"


async def test_anything_else_gets_a_script_that_says_so():
    said = await text(wish("Write me a poem about the sea"))
    assert "Write me a poem about the sea" in said
    assert "demo" in said
    assert await text(wish("What is 2+2?")) == "2 + 2 = 4."


async def test_it_acknowledges_what_it_cannot_see():
    image, sound = Image("https://example.org/a.png"), Audio("UklGRg==", "wav")
    said = await text(wish("What is this?", image, image, sound))
    assert "2 images and 1 recording" in said


async def test_it_calls_a_tool_that_the_prompt_asks_for():
    assert await calls(wish("What's the weather in Oslo?", tools=(WEATHER,))) == [
        ("get_weather", {"city": "Oslo", "days": 2})
    ]
    assert await calls(wish("Use a tool", tools=(Tool("now"),))) == [("now", {})]
    assert isinstance((await ask(wish("Hello", tools=(WEATHER,)))).parts[0], OutputText)


async def test_the_callers_choice_decides():
    other = Tool("other", parameters=Raw(b'{"type":"object"}'))
    tools = (WEATHER, other)
    assert await calls(wish("Hi", tools=tools, tool_choice=ToolChoice("required"))) == [
        ("get_weather", {"city": "Paris", "days": 2})
    ]
    assert await calls(wish("Hi", tools=tools, tool_choice=ToolChoice("function", "other"))) == [
        ("other", {})
    ]
    refused = await ask(wish("Call get_weather", tools=tools, tool_choice=ToolChoice("none")))
    assert refused.finish == "stop"


async def test_two_calls_at_once_unless_forbidden():
    request = wish("What's the weather in Oslo and Rome?", tools=(WEATHER,))
    assert [arguments["city"] for _, arguments in await calls(request)] == ["Oslo", "Rome"]
    assert len(await calls(replace(request, parallel_tool_calls=False))) == 1


async def test_after_a_tool_it_answers_with_what_the_tool_said():
    request = wish("What's the weather in Oslo?", tools=(WEATHER,))
    turns = (
        *request.messages,
        Message("assistant", (ToolCall("c1", "get_weather", '{"city":"Oslo"}'),)),
        Message("tool", (ToolResult("c1", (Text('{"temp": 18}'),)),)),
    )
    assert await text(replace(request, messages=turns)) == 'I asked, and get_weather says {"temp": 18}.'


async def test_it_fills_a_json_schema():
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "when": {"type": "string", "format": "date"},
            "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
            "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "list": {"type": "array", "items": {"$ref": "#/$defs/item"}, "minItems": 2},
        },
        "required": ["city"],
        "$defs": {"item": {"type": ["integer", "null"], "multipleOf": 5, "minimum": 7}},
    }
    wanted = OutputFormat("json_schema", JsonSchema("s", Raw(json.dumps(schema).encode())))
    assert json.loads(await text(wish("Something in Rome", output_format=wanted))) == {
        "city": "Rome",
        "kind": "a",
        "when": "2025-01-01",
        "code": "ABC-123",
        "ratio": 0.5,
        "maybe": True,
        "list": [10, 10],
    }
    assert isinstance(json.loads(await text(wish("Hi", output_format=OutputFormat("json_object")))), dict)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "required": ["a", "b"]},
        {"type": "array", "minItems": 10**9, "items": {"$ref": "#"}},
        {"allOf": [{"$ref": "#/allOf/0"}]},
        {"type": "string", "minLength": 10**12},
    ],
)
async def test_a_schema_without_end_has_an_answer(schema):
    wanted = OutputFormat("json_schema", JsonSchema("s", Raw(json.dumps(schema).encode())))
    assert len(await text(wish("Hi", output_format=wanted))) < 200_000


KEYWORDS = [
    "type",
    "properties",
    "items",
    "anyOf",
    "allOf",
    "oneOf",
    "$ref",
    "enum",
    "const",
    "required",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "prefixItems",
    "pattern",
    "format",
    "minLength",
    "maxLength",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["object", "array", "string", "integer", "number", "null", "#", "#/items", "(a+)+$", "["]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=6))
def test_no_schema_is_too_strange(schema):
    wanted = OutputFormat("json_schema", JsonSchema("s", Raw(json.dumps(schema).encode())))
    answer = asyncio.run(ask(wish("Hi", output_format=wanted)))
    (part,) = answer.parts
    assert isinstance(part, OutputText)
    json.loads(part.text)


async def test_it_thinks_when_asked_to():
    request = wish("Hello", reasoning=ReasoningWish(effort="low"))
    answer = await ask(request)
    assert isinstance(answer.parts[0], Reasoning)
    assert answer.usage is not None
    assert answer.usage.reasoning > 0
    hidden = await ask(replace(request, reasoning=ReasoningWish(effort="low", exclude=True)))
    assert [type(part) for part in hidden.parts] == [OutputText]
    assert hidden.usage == answer.usage


@pytest.mark.parametrize("cap", [1, 5, 17, 18, 19, 30, 500])
async def test_an_output_cap_is_kept(cap):
    for request in (
        wish("Hello", reasoning=ReasoningWish(effort="low"), max_output_tokens=cap),
        wish("Weather in Oslo and Rome", tools=(WEATHER,), max_output_tokens=cap),
    ):
        answer = await ask(request)
        assert answer.usage is not None
        assert answer.usage.output_total <= cap
        assert (answer.finish == "length") == (answer.usage.output_total == cap)


async def test_stop_sequences_end_the_text():
    request = wish("What is the capital of France?", sampling=Sampling(stop=("zzz", " is")))
    assert await text(request) == "The capital of France"


async def test_logprobs_have_the_form_that_clients_read():
    request = wish("What is 2+2?", sampling=Sampling(logprobs=True, top_logprobs=2))
    entries = [json.loads(bytes(entry)) for entry in (await ask(request)).logprobs_content]
    assert "".join(entry["token"] for entry in entries) == "2 + 2 = 4."
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)
    assert bytes(entries[0]["bytes"]) == entries[0]["token"].encode()


def test_what_it_cannot_do_is_refused_by_name():
    with pytest.raises(UnsupportedParameter) as refused:
        PROVIDER.encode(wish("Sing", modalities=("audio",), audio=AudioOutput("a", "wav")), Target("m", None))
    assert refused.value.param == "modalities"
    # Which asks for nothing that is not so anyway.
    text = PROVIDER.encode(wish("Sing", modalities=("text",)), Target("m", None))
    assert text == PROVIDER.encode(wish("Sing"), Target("m", None))


async def test_it_can_be_aborted_while_it_pauses():
    call = PROVIDER.encode(wish("Hi", stream=True), Target("m", None))
    response = await DemoUpstream(StoppedClock(), pause_seconds=60.0).send(call, PATIENCE)
    reading = asyncio.ensure_future(response.next())
    await asyncio.sleep(0)
    response.abort()
    with pytest.raises(UpstreamFailure) as failure:
        await reading
    assert failure.value.aborted


async def test_a_pause_lies_before_each_piece():
    fast = await pieces(wish("Hi", stream=True))
    assert await pieces(wish("Hi", stream=True), pause=0.001) == fast


async def test_a_whole_body_is_read_up_to_a_limit():
    call = PROVIDER.encode(wish("Hi"), Target("m", None))
    upstream = DemoUpstream(StoppedClock())
    assert json.loads(await (await upstream.send(call, PATIENCE)).read(10_000))["object"] == "chat.completion"
    with pytest.raises(UpstreamFailure):
        await (await upstream.send(call, PATIENCE)).read(10)
