"""Requests to Converse, each held against botocore's service model and the API's own rules."""

import json
from typing import Any

import pytest
from converse_oracle import check
from msgspec.structs import replace

from quantized.core.errors import InvalidRequest
from quantized.core.parts import AnyPart, Text, ToolCall, ToolResult
from quantized.core.request import GenerationRequest, Message
from quantized.providers.bedrock.encode import encode_body
from quantized.providers.bedrock.families import family_of
from quantized.providers.caching import AutomaticCaching
from quantized.providers.provider import Target

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_3 = "anthropic.claude-3-haiku-20240307-v1:0"
CLAUDE_37 = "us.anthropic.claude-3-7-sonnet-20250219-v1:0"
OPUS_48 = "global.anthropic.claude-opus-4-8"
NOVA = "amazon.nova-lite-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
LLAMA_4 = "us.meta.llama4-maverick-17b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-3-675b-instruct"
MIXTRAL = "mistral.mixtral-8x7b-instruct-v0:1"
VOXTRAL = "mistral.voxtral-small-24b-2507"
R1 = "us.deepseek.r1-v1:0"
DEEPSEEK = "deepseek.v3.2"
GPT_OSS = "openai.gpt-oss-120b-1:0"
GPT = "us.openai.gpt-5.6-sol"
KIMI_2 = "moonshotai.kimi-k2.5"
KIMI_3 = "global.moonshotai.kimi-k3"
GLM = "us.zai.glm-5.3"
COHERE = "cohere.command-r-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/fm16bt65tzgx"
MODELS = (
    *(CLAUDE, CLAUDE_3, CLAUDE_37, OPUS_48, NOVA, NOVA_2, LLAMA, LLAMA_4, MISTRAL, MIXTRAL, VOXTRAL, R1),
    *(DEEPSEEK, GPT_OSS, GPT, KIMI_2, KIMI_3, GLM, COHERE, PROFILE),
)


def user(*parts: AnyPart | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: AnyPart | str) -> Message:
    return replace(user(*parts), role="assistant")


def system(*parts: AnyPart | str) -> Message:
    return replace(user(*parts), role="system")


def called(*ids: str, name: str = "f", arguments: str = '{"a":1}') -> Message:
    return assistant(*(ToolCall(call_id, name, arguments) for call_id in ids))


def result(call_id: str, *parts: Any) -> Message:
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Message("tool", (ToolResult(call_id, said),))


HELLO = GenerationRequest(model="author/model", messages=(user("Hello"),))


def encode(
    request: GenerationRequest = HELLO,
    model: str = CLAUDE,
    cap: int | None = None,
    caching: AutomaticCaching = "off",
    **changed: Any,
) -> dict[str, Any]:
    """The body, which the API would take."""
    request = replace(request, **changed)
    target = Target(model, request.max_output_tokens if cap is None else cap)
    written = encode_body(request, target, family_of(model), caching)
    body: dict[str, Any] = json.loads(written)
    check(body, model, stream=request.stream)
    return body


def turns(*messages: Message, model: str = CLAUDE, **changed: Any) -> list[Any]:
    found: list[Any] = encode(model=model, messages=messages, **changed)["messages"]
    return found


def refusal(model: str = CLAUDE, **changed: Any) -> InvalidRequest:
    """The refusal of a request, which names its field."""
    with pytest.raises(InvalidRequest) as refused:
        encode(model=model, **changed)
    fault = refused.value
    assert fault.param
    assert f"'{fault.param}'" in fault.message
    assert "bedrock" in fault.message
    return fault
