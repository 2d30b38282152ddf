"""A chat completions body to a `GenerationRequest`, with the checks that span several fields."""

from typing import NoReturn

import msgspec
from msgspec import Raw

from quantized.core.errors import InvalidValue
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
from quantized.surfaces.chat.history import cache_mark, given, read_messages
from quantized.surfaces.chat.schema import (
    HINTS,
    AudioOptions,
    ChatCompletionRequest,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedToolChoice,
    ReasoningOptions,
    TextFormat,
    ToolDefinition,
    WebSearchOptions,
)
from quantized.wire.strict import StrictDecoder, require_object

_DECODER = StrictDecoder(ChatCompletionRequest, HINTS)


def parse(body: bytes, depth: int) -> GenerationRequest:
    """`depth` is the deepest nesting that is read. Raises InvalidRequest and its kinds."""
    asked = _DECODER.decode(body)
    tools = None if asked.tools is None else _tools(asked.tools, depth)
    return GenerationRequest(
        model=asked.model,
        messages=read_messages(asked.messages, depth),
        max_output_tokens=_output_cap(asked),
        output_cap_field="max_completion_tokens" if asked.max_tokens is None else "max_tokens",
        sampling=_sampling(asked),
        tools=tools,
        tool_choice=_tool_choice(asked, tools),
        parallel_tool_calls=asked.parallel_tool_calls,
        output_format=None if asked.response_format is None else _output_format(asked.response_format, depth),
        modalities=asked.modalities,
        audio=None if asked.audio is None else _audio(asked.audio),
        reasoning=None if asked.reasoning is None else _reasoning(asked.reasoning),
        web_search=None if asked.web_search_options is None else _web_search(asked.web_search_options),
        metadata=asked.metadata,
        user=asked.user,
        stream=asked.stream is True,
    )


def _refuse(path: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{path}': {why}", param=path, code="invalid_value")


def _output_cap(asked: ChatCompletionRequest) -> int | None:
    older, newer = asked.max_tokens, asked.max_completion_tokens
    if older is not None and newer is not None and older != newer:
        _refuse(
            "max_completion_tokens",
            "it differs from 'max_tokens', of which it is another name. Give one of them.",
        )
    return older if newer is None else newer


def _sampling(asked: ChatCompletionRequest) -> Sampling:
    if asked.top_logprobs is not None and asked.logprobs is not True:
        _refuse("top_logprobs", "it needs 'logprobs' to be true.")
    top_k = asked.top_k
    if top_k is not None and not top_k.is_integer():
        _refuse("top_k", f"expected a whole number, found the number {top_k}.")
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=None if top_k is None else int(top_k),
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        repetition_penalty=asked.repetition_penalty,
        seed=asked.seed,
        stop=(asked.stop,) if isinstance(asked.stop, str) else asked.stop,
        logit_bias=asked.logit_bias,
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
    )


def _tools(definitions: tuple[ToolDefinition, ...], depth: int) -> tuple[Tool, ...]:
    names: set[str] = set()
    return tuple([_tool(definition, names, at, depth) for at, definition in enumerate(definitions)])


def _tool(definition: ToolDefinition, names: set[str], at: int, depth: int) -> Tool:
    function = definition.function
    if function.name in names:
        _refuse(f"tools[{at}].function.name", f"an earlier tool is named '{function.name}' too.")
    names.add(function.name)
    return Tool(
        name=function.name,
        description=function.description,
        parameters=_schema(function.parameters, f"tools[{at}].function.parameters", depth),
        strict=function.strict,
        cache=cache_mark(definition.cache_control),
    )


def _schema(raw: Raw, path: str, depth: int) -> Raw | None:
    if not given(raw):
        return None
    require_object(raw, path, depth)
    return raw


def _tool_choice(asked: ChatCompletionRequest, tools: tuple[Tool, ...] | None) -> ToolChoice | None:
    choice = asked.tool_choice
    if choice is None:
        return None
    if tools is None:
        _refuse("tool_choice", "it is only allowed when 'tools' are given.")
    if not isinstance(choice, NamedToolChoice):
        return ToolChoice(choice)
    name = choice.function.name
    if name not in {tool.name for tool in tools}:
        _refuse("tool_choice.function.name", f"no tool is named '{name[:64]}'.")
    return ToolChoice("function", name)


def _output_format(asked: TextFormat | JsonObjectFormat | JsonSchemaFormat, depth: int) -> OutputFormat:
    match asked:
        case TextFormat():
            return OutputFormat("text")
        case JsonObjectFormat():
            return OutputFormat("json_object")
        case JsonSchemaFormat(source):
            schema = _schema(source.schema, "response_format.json_schema.schema", depth)
            return OutputFormat(
                "json_schema", JsonSchema(source.name, schema, source.description, source.strict)
            )


def _audio(asked: AudioOptions) -> AudioOutput:
    return AudioOutput(asked.voice, asked.format)


def _reasoning(asked: ReasoningOptions) -> ReasoningWish:
    if asked.effort is not None and asked.max_tokens is not None:
        _refuse("reasoning.max_tokens", "give one of 'effort' and 'max_tokens', not both.")
    return ReasoningWish(asked.effort, asked.max_tokens, asked.exclude, asked.enabled, asked.summary)


def _web_search(asked: WebSearchOptions) -> WebSearch:
    place = asked.user_location
    return WebSearch(asked.search_context_size, None if place is None else Raw(msgspec.json.encode(place)))
