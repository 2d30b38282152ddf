"""The body of `POST /v1/chat/completions`, closed and with its ranges: the 27 documented fields, no other.

Every optional field may be null, which says the same as leaving it out.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, field

from quantized.surfaces.chat.messages import (
    AnyMessage,
    AssistantMessage,
    CacheControl,
    Closed,
    NonEmpty,
    PastToolCall,
    RawObject,
    SystemMessage,
)
from quantized.wire.diagnosis import Hints

# The look-ahead keeps a last newline out, which Python's `$` would let in.
ToolName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]{1,128}$(?!\n)")]
SchemaName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$(?!\n)")]
TokenId = Annotated[str, Meta(pattern=r"^[0-9]{1,10}$(?!\n)")]
TokenCap = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
StopSequences = NonEmpty | Annotated[tuple[NonEmpty, ...], Meta(min_length=1, max_length=4)]
LogitBias = dict[TokenId, Annotated[float, Meta(ge=-100, le=100)]]
Metadata = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)
]


class Format(Closed, frozen=True, tag_field="type"):
    """Base of output formats."""


class TextFormat(Format, frozen=True, tag="text"):
    pass


class JsonObjectFormat(Format, frozen=True, tag="json_object"):
    """Any JSON object."""


class SchemaSource(Closed, frozen=True):
    """`schema` is a JSON Schema, an object."""

    name: SchemaName
    schema: RawObject = field(default_factory=Raw)
    description: str | None = None
    strict: bool | None = None


class JsonSchemaFormat(Format, frozen=True, tag="json_schema"):
    """JSON that fits a schema."""

    json_schema: SchemaSource


class AudioOptions(Closed, frozen=True):
    """How spoken output sounds, and how it is encoded."""

    voice: NonEmpty
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class FunctionDefinition(Closed, frozen=True):
    """`parameters` is a JSON Schema, an object."""

    name: ToolName
    description: str | None = None
    parameters: RawObject = field(default_factory=Raw)
    strict: bool | None = None


class ToolDefinition(Closed, frozen=True):
    """A function that the model may call. Names are unique within a request."""

    type: Literal["function"]
    function: FunctionDefinition
    cache_control: CacheControl | None = None


class NamedFunction(Closed, frozen=True):
    name: NonEmpty


class NamedToolChoice(Closed, frozen=True):
    """Forces the one function, which must be among `tools`."""

    type: Literal["function"]
    function: NamedFunction


class ReasoningOptions(Closed, frozen=True):
    """One of `effort` and `max_tokens`. `exclude`: think, but do not show it."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    max_tokens: TokenCap | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ApproximatePlace(Closed, frozen=True, omit_defaults=True):
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class UserLocation(Closed, frozen=True):
    type: Literal["approximate"]
    approximate: ApproximatePlace


class WebSearchOptions(Closed, frozen=True):
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: UserLocation | None = None


class StreamOptions(Closed, frozen=True):
    """Accepted for what SDKs send. Usage is always told, streamed or not, so this changes nothing."""

    include_usage: bool | None = None


class ChatCompletionRequest(Closed, frozen=True):
    """`max_tokens` and `max_completion_tokens` are two names of one thing."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[tuple[AnyMessage, ...], Meta(min_length=1)]
    max_tokens: TokenCap | None = None
    max_completion_tokens: TokenCap | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[float, Meta(ge=0, le=2**31 - 1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    stop: StopSequences | None = None
    seed: Seed | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logit_bias: LogitBias | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    modalities: Annotated[tuple[Literal["text", "audio", "image"], ...], Meta(min_length=1)] | None = None
    audio: AudioOptions | None = None
    tools: Annotated[tuple[ToolDefinition, ...], Meta(min_length=1)] | None = None
    tool_choice: Literal["auto", "none", "required"] | NamedToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    web_search_options: WebSearchOptions | None = None
    metadata: Metadata | None = None
    user: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


_IN_DETAILS = "It is in the message's 'reasoning_details'; send those back as they came."

HINTS: Hints = {
    (ChatCompletionRequest, "reasoning_effort"): "Use 'reasoning' with 'effort' instead.",
    (ChatCompletionRequest, "include_reasoning"): "Use 'reasoning' with 'exclude' instead.",
    (ChatCompletionRequest, "thinking"): "Use 'reasoning' instead.",
    (ChatCompletionRequest, "functions"): "Use 'tools' instead.",
    (ChatCompletionRequest, "function_call"): "Use 'tool_choice' instead.",
    (ChatCompletionRequest, "n"): "One completion is generated per request; send several requests instead.",
    (ChatCompletionRequest, "store"): "Chat completions are not stored.",
    (ChatCompletionRequest, "stop_sequences"): "Use 'stop' instead.",
    (ChatCompletionRequest, "system"): "Use a message with the role 'system' instead.",
    (ChatCompletionRequest, "input"): "Use 'messages' instead.",
    (ChatCompletionRequest, "prompt"): "Use 'messages' instead.",
    (ChatCompletionRequest, "safety_identifier"): "Use 'user' instead.",
    (ChatCompletionRequest, "provider"): "Use the header X-Quantized-Provider to force a provider.",
    (AssistantMessage, "function_call"): "Use 'tool_calls' instead.",
    (AssistantMessage, "extra_content"): _IN_DETAILS,
    (PastToolCall, "extra_content"): _IN_DETAILS,
    (SystemMessage, "role=function"): "Use the role 'tool' instead.",
    (ToolDefinition, "name"): "Put it inside 'function'.",
    (ToolDefinition, "description"): "Put it inside 'function'.",
    (ToolDefinition, "parameters"): "Put it inside 'function'.",
    (NamedToolChoice, "name"): "Put it inside 'function'.",
}
"""What to do instead of fields that other APIs have and this one has not."""
