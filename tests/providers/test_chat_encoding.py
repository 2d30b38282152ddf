import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from quantized.core.errors import UnsupportedParameter
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
    WebSearch,
)
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import DIALECT as OPENROUTER
from quantized.providers.provider import Target

HELLO = GenerationRequest(model="author/model", messages=(Message("user", (Text("Hello"),)),))
GENERIC = Dialect()


def encode(
    request: GenerationRequest, dialect: Dialect = GENERIC, cap: int | None = None, *features: str
) -> dict[str, Any]:
    provider = OpenAIChatProvider("named", "http://server.test/v1", "key", dialect)
    return json.loads(provider.encode(request, Target("native-model", cap, frozenset(features))).body)


def encode_messages(*messages: Message, dialect: Dialect = OPENROUTER) -> list[dict[str, Any]]:
    return encode(replace(HELLO, messages=messages), dialect)["messages"]


def refusal(request: GenerationRequest, dialect: Dialect = GENERIC) -> UnsupportedParameter:
    with pytest.raises(UnsupportedParameter) as refused:
        encode(request, dialect)
    assert "'named'" in refused.value.message
    assert f"'{refused.value.param}'" in refused.value.message
    return refused.value


def test_the_least_request_says_nothing_that_nobody_asked_for():
    assert encode(HELLO) == {"model": "native-model", "messages": [{"role": "user", "content": "Hello"}]}


def test_a_stream_asks_for_its_usage():
    body = encode(replace(HELLO, stream=True))
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_but_not_a_server_that_refuses_the_question():
    body = encode(replace(HELLO, stream=True), Dialect(stream_usage=False))
    assert body["stream"] is True
    assert "stream_options" not in body


def test_everything_that_was_asked_for_is_said():
    request = replace(
        HELLO,
        sampling=Sampling(
            temperature=0.0,
            top_p=0.9,
            top_k=5,
            frequency_penalty=0.1,
            presence_penalty=-0.1,
            repetition_penalty=1.1,
            seed=0,
            stop=("a", "b"),
            logit_bias={"50256": -100.0, "7": 0.5},
            logprobs=True,
            top_logprobs=0,
        ),
        tools=(
            Tool("f", "does f", Raw(b'{"type": "object"}'), strict=False),
            Tool("g", cache=CacheMark()),
        ),
        tool_choice=ToolChoice("function", "f"),
        parallel_tool_calls=False,
        output_format=OutputFormat("json_schema", JsonSchema("s", Raw(b'{"type":"object"}'), "d", True)),
        modalities=("text", "audio"),
        audio=AudioOutput("alloy", "wav"),
        reasoning=ReasoningWish("low", 100, False, True, "auto"),
        web_search=WebSearch(
            "high", Raw(b'{"type":"approximate","approximate":{"city":"Bern","country":"CH"}}')
        ),
        metadata={"a": "b"},
        user="u",
    )
    body = encode(request, OPENROUTER, cap=64)
    assert body == {
        "model": "native-model",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 64,
        "temperature": 0.0,
        "top_p": 0.9,
        "top_k": 5,
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "repetition_penalty": 1.1,
        "seed": 0,
        "stop": ["a", "b"],
        "logit_bias": {"50256": -100, "7": 0.5},
        "logprobs": True,
        "top_logprobs": 0,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "does f",
                    "parameters": {"type": "object"},
                    "strict": False,
                },
            },
            {"type": "function", "function": {"name": "g"}, "cache_control": {"type": "ephemeral"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "description": "d", "schema": {"type": "object"}, "strict": True},
        },
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
        "reasoning": {
            "effort": "low",
            "max_tokens": 100,
            "exclude": False,
            "enabled": True,
            "summary": "auto",
        },
        "plugins": [{"id": "web", "user_location": {"type": "approximate", "city": "Bern", "country": "CH"}}],
        # Its chat schema does not name this field, its page on web search does.
        "web_search_options": {"search_context_size": "high"},
        "provider": {"require_parameters": True},
        "metadata": {"a": "b"},
        "user": "u",
    }


def test_endpoints_must_support_what_the_caller_set_and_only_then():
    assert "provider" not in encode(replace(HELLO, user="u", stream=True), OPENROUTER, cap=10)
    assert encode(replace(HELLO, sampling=Sampling(seed=0)), OPENROUTER)["provider"] == {
        "require_parameters": True
    }
    assert "provider" not in encode(replace(HELLO, sampling=Sampling(seed=0)))


def test_the_cap_goes_under_the_name_that_the_server_reads():
    assert encode(HELLO, cap=7)["max_tokens"] == 7
    body = encode(HELLO, Dialect(output_cap_field="max_completion_tokens"), cap=7)
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body


def test_user_parts_and_cache_marks():
    message = Message(
        "user",
        (
            Text("Look", CacheMark("1h")),
            Image("https://example.org/a.png", "low"),
            Audio("UklGRg==", "wav"),
            File("a.pdf", "data:application/pdf;base64,JVBERg=="),
            File(file_id="file-1", cache=CacheMark()),
        ),
        name="ann",
    )
    assert encode_messages(message) == [
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                },
                {"type": "file", "file": {"file_id": "file-1"}, "cache_control": {"type": "ephemeral"}},
            ],
        }
    ]


def test_a_cache_mark_is_refused_where_nobody_reads_it():
    marked = replace(HELLO, messages=(Message("user", (Text("a", CacheMark()),)),))
    assert refusal(marked).param == "cache_control"


def test_assistant_and_tool_turns():
    assert encode_messages(
        Message("developer", (Text("Be brief"),)),
        Message("assistant", (ToolCall("c1", "f", '{"a":'), ToolCall("c2", "g", "{}"))),
        Message("tool", (ToolResult("c1", (Text("18 C"),)),)),
        Message("tool", (ToolResult("c2", (Text("a"), Text("b"))),)),
        Message("assistant", (Text("no"), Refusal("I will not"), AudioReference("audio_1"))),
        Message("assistant", ()),
    ) == [
        {"role": "developer", "content": "Be brief"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":'}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "18 C", "tool_call_id": "c1"},
        {
            "role": "tool",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "tool_call_id": "c2",
        },
        {"role": "assistant", "content": "no", "refusal": "I will not", "audio": {"id": "audio_1"}},
        {"role": "assistant", "content": None},
    ]
    assert encode_messages(Message("developer", (Text("x"),)), dialect=GENERIC)[0]["role"] == "system"


def thought(minted_by: str | None, payload: bytes, kind: str = "reasoning_details") -> Message:
    return Message("assistant", (Reasoning("hm", (Seal(minted_by, kind, payload),)), Text("Yes")))


def test_reasoning_goes_back_to_its_maker_and_to_nobody_else():
    block = b'{"type":"reasoning.encrypted","data":"x","index":0,"unheard_of":[1.0]}'
    for owner in (None, "named"):
        (message,) = encode_messages(thought(owner, b"[" + block + b"]"))
        assert message["reasoning"] == "hm"
        assert message["reasoning_details"] == [json.loads(block)]
    for foreign in (thought("other", b"[]"), thought("named", b"{}", kind="signature")):
        assert encode_messages(foreign) == [{"role": "assistant", "content": "Yes"}]
    assert encode_messages(thought(None, b"[]"), dialect=GENERIC) == [{"role": "assistant", "content": "Yes"}]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_server_may_want_the_text_of_its_reasoning_back(field):
    dialect = Dialect(reasoning_field=field)
    said = Message("assistant", (Reasoning("Let me see."), Text("Yes")))
    told = {"role": "assistant", "content": "Yes", field: "Let me see."}
    assert encode_messages(said, dialect=dialect) == [told]
    assert encode_messages(said, dialect=GENERIC) == [{"role": "assistant", "content": "Yes"}]
    assert encode_messages(thought("named", b"[]"), dialect=dialect) == [{**told, field: "hm"}]
    assert encode_messages(thought("other", b"[]"), dialect=dialect) == [
        {"role": "assistant", "content": "Yes"}
    ]


def test_of_several_makers_blocks_each_gets_its_own():
    """As a chat surface reads them back: a seal for each block, by the maker that the block names."""
    blocks = [
        (None, {"type": "reasoning.text", "text": "Let ", "index": 0}),
        ("named", {"type": "reasoning.text", "text": "me", "index": 0, "provider": "named"}),
        ("other", {"type": "reasoning.text", "text": "not", "index": 0, "provider": "other"}),
        (None, {"type": "reasoning.encrypted", "data": "x", "index": 1}),
    ]
    seals = tuple(Seal(maker, "reasoning_details", json.dumps(block).encode()) for maker, block in blocks)
    (message,) = encode_messages(Message("assistant", (Reasoning("hm", seals), Text("Yes"))))
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Let me", "index": 0, "provider": "named"},
        {"type": "reasoning.encrypted", "data": "x", "index": 1},
    ]
    (message,) = encode_messages(Message("assistant", (Reasoning("hm", seals[2:3]), Text("Yes"))))
    assert message == {"role": "assistant", "content": "Yes"}


def test_what_a_caller_made_of_a_block_is_handed_on_and_breaks_nothing():
    fragment = b'{"type":"reasoning.text","text":7,"index":0}'
    strange = b'[{"type":["x"],"index":{}},' + fragment + b"," + fragment + b"]"
    (message,) = encode_messages(thought(None, strange))
    assert len(message["reasoning_details"]) == 2


def test_two_encrypted_blocks_of_one_index_stay_two():
    blocks = [{"type": "reasoning.encrypted", "data": d, "id": d, "index": 0} for d in ("a", "b")]
    (message,) = encode_messages(thought(None, json.dumps(blocks).encode()))
    assert message["reasoning_details"] == blocks


def test_reasoning_as_an_effort():
    wish = lambda **fields: replace(HELLO, reasoning=ReasoningWish(**fields))  # noqa: E731
    assert encode(wish(effort="high", exclude=False, enabled=True))["reasoning_effort"] == "high"
    assert refusal(wish(effort="high", exclude=True)).param == "reasoning.exclude"
    assert refusal(wish(max_tokens=5)).param == "reasoning.max_tokens"
    assert refusal(wish(enabled=False)).param == "reasoning.enabled"
    assert refusal(wish(enabled=True)).param == "reasoning.enabled"
    assert refusal(wish(effort="low", summary="auto")).param == "reasoning.summary"
    assert refusal(wish(effort="low"), Dialect(reasoning="none")).param == "reasoning"


@pytest.mark.parametrize("dialect", [GENERIC, OPENROUTER, Dialect(reasoning="none")])
def test_a_model_that_is_known_not_to_reason_is_not_asked_to(dialect):
    for field, value in (
        ("effort", "low"),
        ("effort", "minimal"),
        ("max_tokens", 5),
        ("enabled", True),
        ("summary", "auto"),
    ):
        with pytest.raises(UnsupportedParameter) as refused:
            encode(replace(HELLO, reasoning=ReasoningWish(**{field: value})), dialect, None, "tool_calls")
        assert (refused.value.param, refused.value.code) == (f"reasoning.{field}", "unsupported_parameter")
        for name in (f"'reasoning.{field}'", "'author/model'", "'named'", "does not reason"):
            assert name in refused.value.message
    for wish in (
        ReasoningWish(effort="none"),
        ReasoningWish(enabled=False),
        ReasoningWish(exclude=True),
        ReasoningWish("none", exclude=False, enabled=False),
    ):
        assert encode(replace(HELLO, reasoning=wish), dialect, None, "tool_calls") == encode(HELLO)


def test_a_model_that_reasons_or_may_do_so_is_asked_to():
    wish = replace(HELLO, reasoning=ReasoningWish(effort="low"))
    for features in ((), ("reasoning", "tool_calls")):
        assert encode(wish, GENERIC, None, *features)["reasoning_effort"] == "low"


def test_web_search():
    search = replace(HELLO, web_search=WebSearch("low", Raw(b'{"type":"approximate"}')))
    assert refusal(search).param == "web_search_options"
    assert encode(search, Dialect(web_search="options"))["web_search_options"] == {
        "search_context_size": "low",
        "user_location": {"type": "approximate"},
    }
    assert encode(replace(HELLO, web_search=WebSearch()), OPENROUTER)["plugins"] == [{"id": "web"}]


def test_a_row_can_refuse_any_field_by_name():
    dialect = Dialect(refused=("top_k", "metadata"))
    assert refusal(replace(HELLO, sampling=Sampling(top_k=0)), dialect).param == "top_k"
    assert refusal(replace(HELLO, metadata={}), dialect).param == "metadata"
    assert encode(HELLO, dialect)["model"] == "native-model"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://localhost:11434/v1", "http://localhost:11434/v1/chat/completions"),
        ("https://a.test/v1/", "https://a.test/v1/chat/completions"),
        ("https://a.test", "https://a.test/chat/completions"),
        ("https://a.test/x/chat/completions", "https://a.test/x/chat/completions"),
        ("https://a.test/d?api-version=1", "https://a.test/d/chat/completions?api-version=1"),
    ],
)
def test_the_url_is_joined(base, url):
    assert OpenAIChatProvider("named", base).encode(HELLO, Target("m", None)).url == url


@pytest.mark.parametrize("base", ["", "localhost:11434/v1", "ftp://a.test", "http://"])
def test_what_is_no_url_is_refused(base):
    with pytest.raises(ValueError, match="not an http"):
        OpenAIChatProvider("named", base)


def test_headers_and_the_key():
    now = datetime(2025, 1, 1, tzinfo=UTC)
    dialect = Dialect(headers=(("x-tenant", "a"),))
    with_key = OpenAIChatProvider("named", "http://a.test", "secret", dialect)
    call = with_key.encode(replace(HELLO, stream=True), Target("m", None))
    assert dict(call.headers) == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "x-tenant": "a",
    }
    assert dict(with_key.authorize(call, now).headers)["authorization"] == "Bearer secret"
    keyless = OpenAIChatProvider("named", "http://a.test")
    assert keyless.authorize(call, now) == call
