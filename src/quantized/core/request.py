"""What a caller wants, in no provider's words. Every accepted field of every surface has a name here."""

from typing import Literal

from msgspec import Raw, Struct

from quantized.core.parts import AnyPart, CacheMark

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(Struct, frozen=True):
    """One turn. A `tool` message holds exactly one `ToolResult`."""

    role: Role
    parts: tuple[AnyPart, ...]
    name: str | None = None


class Sampling(Struct, frozen=True):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class Tool(Struct, frozen=True):
    """A function the model may call. `parameters` is a JSON Schema as the caller wrote it."""

    name: str
    description: str | None = None
    parameters: Raw | None = None
    strict: bool | None = None
    cache: CacheMark | None = None


class ToolChoice(Struct, frozen=True):
    """`function` forces the one named."""

    mode: Literal["auto", "none", "required", "function"]
    name: str | None = None


class JsonSchema(Struct, frozen=True):
    name: str
    schema: Raw | None = None
    description: str | None = None
    strict: bool | None = None


class OutputFormat(Struct, frozen=True):
    """`schema` is set exactly when `kind` is `json_schema`."""

    kind: Literal["text", "json_object", "json_schema"]
    schema: JsonSchema | None = None


class ReasoningWish(Struct, frozen=True):
    """How much a model should think, and whether the caller wants to read it."""

    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    summary: str | None = None


class WebSearch(Struct, frozen=True):
    """`location` is the caller's approximate place, as JSON."""

    context_size: Literal["low", "medium", "high"] | None = None
    location: Raw | None = None


class AudioOutput(Struct, frozen=True):
    voice: str
    format: str


class GenerationRequest(Struct, frozen=True):
    """One wish, complete. `max_output_tokens` is what the caller asked for, not what is sent upstream, and
    `output_cap_field` the field that says it, where a caller has two to choose from."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    output_cap_field: str = "max_completion_tokens"
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    modalities: tuple[str, ...] | None = None
    audio: AudioOutput | None = None
    reasoning: ReasoningWish | None = None
    web_search: WebSearch | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    stream: bool = False
