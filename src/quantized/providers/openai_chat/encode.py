"""A GenerationRequest to the body of a Chat Completions request.

Every field of the request is either in the body or refused by name.
"""

from typing import Any, Literal

from msgspec import Raw, Struct
from msgspec.json import Encoder, decode

from quantized.core.errors import UnsupportedParameter
from quantized.core.request import (
    GenerationRequest,
    OutputFormat,
    ReasoningWish,
    Tool,
    ToolChoice,
    WebSearch,
)
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.messages import MessageEncoder, OutMessage
from quantized.providers.openai_chat.refusal import unsupported
from quantized.providers.provider import Target

_encode = Encoder().encode


class Body(Struct, omit_defaults=True):
    model: str
    messages: list[OutMessage]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    logit_bias: dict[str, int | float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    modalities: tuple[str, ...] | None = None
    audio: dict[str, str] | None = None
    reasoning: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    web_search_options: dict[str, Any] | None = None
    plugins: list[dict[str, Any]] | None = None
    provider: dict[str, bool] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    stream: Literal[True] | None = None
    stream_options: dict[str, bool] | None = None


_PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "stop",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning",
)
"""What a model endpoint may or may not support, and would otherwise ignore. The output cap is not among
them: it is known everywhere, and often it is ours."""


def encode_body(provider: str, dialect: Dialect, request: GenerationRequest, target: Target) -> bytes:
    """Raises UnsupportedParameter, InvalidValue."""
    encoder = MessageEncoder(provider, dialect)
    sampling = request.sampling
    body = Body(
        model=target.model,
        messages=[encoder.encode(message, at) for at, message in enumerate(request.messages)],
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        frequency_penalty=sampling.frequency_penalty,
        presence_penalty=sampling.presence_penalty,
        repetition_penalty=sampling.repetition_penalty,
        seed=sampling.seed,
        stop=sampling.stop,
        logit_bias=_biases(sampling.logit_bias),
        logprobs=sampling.logprobs,
        top_logprobs=sampling.top_logprobs,
        tools=None if request.tools is None else [_tool(encoder, tool) for tool in request.tools],
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_response_format(request.output_format),
        modalities=_modalities(request.modalities, dialect),
        metadata=request.metadata,
        user=request.user,
    )
    setattr(body, dialect.output_cap_field, target.output_cap)
    if request.audio is not None:
        body.audio = {"voice": request.audio.voice, "format": request.audio.format}
    if request.reasoning is not None:
        if target.features and "reasoning" not in target.features:
            _refuse_reasoning(request.reasoning, request.model, provider)
        else:
            _reason(body, request.reasoning, provider, dialect)
    if request.web_search is not None:
        _search(body, request.web_search, provider, dialect)
    if request.stream:
        body.stream = True
        if dialect.stream_usage:
            body.stream_options = {"include_usage": True}
    for field in dialect.refused:
        if getattr(body, field) is not None:
            raise unsupported(provider, field)
    if dialect.require_parameters and any(getattr(body, field) is not None for field in _PARAMETERS):
        body.provider = {"require_parameters": True}
    return _encode(body)


def _biases(biases: dict[str, float] | None) -> dict[str, int | float] | None:
    """Whole numbers as such: there are servers that take nothing else."""
    if biases is None:
        return None
    return {token: int(bias) if bias == int(bias) else bias for token, bias in biases.items()}


def _modalities(wanted: tuple[str, ...] | None, dialect: Dialect) -> tuple[str, ...] | None:
    """Text alone is what a server without the field answers with anyway."""
    return None if wanted == ("text",) and "modalities" in dialect.refused else wanted


def _tool(encoder: MessageEncoder, tool: Tool) -> dict[str, Any]:
    named = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    out: dict[str, Any] = {"type": "function", "function": _told(named)}
    if tool.cache is not None:
        out["cache_control"] = encoder.cache_control(tool.cache)
    return out


def _tool_choice(choice: ToolChoice | None) -> str | dict[str, Any] | None:
    if choice is None or choice.mode != "function":
        return None if choice is None else choice.mode
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(wanted: OutputFormat | None) -> dict[str, Any] | None:
    if wanted is None or wanted.schema is None:
        return None if wanted is None else {"type": wanted.kind}
    schema = wanted.schema
    named = {
        "name": schema.name,
        "description": schema.description,
        "schema": schema.schema,
        "strict": schema.strict,
    }
    return {"type": "json_schema", "json_schema": _told(named)}


def _reason(body: Body, wish: ReasoningWish, provider: str, dialect: Dialect) -> None:
    told = _told({field: getattr(wish, field) for field in wish.__struct_fields__})
    if dialect.reasoning == "object":
        body.reasoning = told
        return
    if dialect.reasoning == "none":
        raise unsupported(provider, "reasoning")
    # Only the effort can be said. What asks for nothing else may stay unsaid.
    unsaid = {"effort"} | ({"enabled"} if wish.enabled and wish.effort else set())
    unsaid |= {"exclude"} if wish.exclude is False else set()
    for field in told:
        if field not in unsaid:
            raise unsupported(provider, f"reasoning.{field}")
    body.reasoning_effort = wish.effort


def _refuse_reasoning(wish: ReasoningWish, model: str, provider: str) -> None:
    """Of a model that does not reason. What asks for no reasoning, or not to see any, is granted unsaid."""
    asks = {
        "effort": wish.effort not in {None, "none"},
        "max_tokens": wish.max_tokens is not None,
        "enabled": wish.enabled is True,
        "summary": wish.summary is not None,
    }
    for field, asked in asks.items():
        if asked:
            raise UnsupportedParameter(
                f"'reasoning.{field}' is not supported: the model '{model}' of the provider '{provider}' "
                "does not reason",
                param=f"reasoning.{field}",
                code="unsupported_parameter",
            )


def _search(body: Body, wish: WebSearch, provider: str, dialect: Dialect) -> None:
    match dialect.web_search:
        case "none":
            raise unsupported(provider, "web_search_options")
        case "options":
            told = {"search_context_size": wish.context_size, "user_location": wish.location}
            body.web_search_options = _told(told)
        case "plugin":
            body.plugins = [_told({"id": "web", "user_location": _flat(wish.location)})]
            if wish.context_size is not None:
                # Read by the searches that models bring with them; the plugin has no field for it.
                body.web_search_options = {"search_context_size": wish.context_size}


def _flat(location: Raw | None) -> dict[str, Any] | None:
    """The place of `{"type": "approximate", "approximate": {place}}` beside the type, as plugins have it."""
    if location is None:
        return None
    told: dict[str, Any] = decode(location)
    place = told.pop("approximate", None)
    return {**told, **place} if isinstance(place, dict) else told


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
