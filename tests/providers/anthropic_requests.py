"""Requests to Anthropic, each held against the official package's types and the API's own rules."""

import json
from typing import Any

import pytest
from anthropic_server_rules import check
from msgspec.structs import replace

from quantized.core.errors import InvalidRequest
from quantized.core.parts import AnyPart, Text, ToolCall, ToolResult
from quantized.core.request import GenerationRequest, Message
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.provider import Target, UpstreamCall

SONNET = "claude-sonnet-4-5-20250929"
OPUS_48 = "claude-opus-4-8"
OPUS_5 = "claude-opus-5"
OPUS_55 = "claude-opus-5-5"
SONNET_55 = "claude-sonnet-5-5"
HAIKU_3 = "claude-3-haiku-20240307"


def user(*parts: AnyPart | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: AnyPart | str) -> Message:
    return replace(user(*parts), role="assistant")


def system(*parts: str) -> Message:
    return replace(user(*parts), role="system")


def called(*ids: str, name: str = "f", arguments: str = '{"a":1}') -> Message:
    return assistant(*(ToolCall(call_id, name, arguments) for call_id in ids))


def result(call_id: str, *parts: Any) -> Message:
    said = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Message("tool", (ToolResult(call_id, said),))


HELLO = GenerationRequest(model="author/model", messages=(user("Hello"),))


def encode(
    request: GenerationRequest, model: str = SONNET, cap: int | None = 4_000, caching: Any = "off"
) -> dict[str, Any]:
    """The body, which the API would take."""
    provider = AnthropicProvider("http://server.test", "key", automatic_caching=caching)
    return taken(provider.encode(request, Target(model, cap)))


def taken(call: UpstreamCall) -> dict[str, Any]:
    """The body of a call that the API takes."""
    body: dict[str, Any] = json.loads(call.body)
    headers = dict(call.headers)
    check(body, headers["anthropic-version"], headers.get("anthropic-beta", ""))
    return body


def turns(*messages: Message, model: str = SONNET, **kwargs: Any) -> list[dict[str, Any]]:
    body = encode(replace(HELLO, messages=messages), model, **kwargs)
    found: list[dict[str, Any]] = body["messages"]
    return found


def refusal(request: GenerationRequest, model: str = SONNET, cap: int | None = 4_000) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        encode(request, model, cap)
    fault = refused.value
    assert f"'{fault.param}'" in fault.message
    assert "'anthropic'" in fault.message
    return fault


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}
