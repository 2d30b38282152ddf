"""The body of `POST /v1/responses`, closed and with its ranges: the 14 documented fields, no other.

Every optional field may be null, which says the same as leaving it out.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, field

from quantized.surfaces.responses.items import (
    MESSAGES,
    OTHERS,
    AssistantItem,
    Closed,
    FunctionCallItem,
    InputImagePart,
    NonEmpty,
    RawObject,
    ReasoningItem,
)
from quantized.wire.diagnosis import Hints

# The look-ahead keeps a last newline out, which Python's `$` would let in.
ToolName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_.-]{1,128}$(?!\n)")]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
RawItem = Annotated[
    Raw,
    Meta(
        extra_json_schema={
            "anyOf": [
                {"$ref": f"#/components/schemas/{item.__name__}"}
                for item in (*MESSAGES.values(), *OTHERS.values())
            ]
        }
    ),
]


class Function(Closed, frozen=True):
    """`parameters` is a JSON Schema, an object."""

    name: ToolName
    description: str | None = None
    parameters: RawObject = field(default_factory=Raw)
    strict: bool | None = None


class AnyTool(Closed, frozen=True, tag_field="type"):
    """Base of tools."""


class FunctionTool(AnyTool, frozen=True, tag="function"):
    """A function that the model may call, described here or inside `function`. Names are unique within a
    request."""

    name: ToolName | None = None
    description: str | None = None
    parameters: RawObject = field(default_factory=Raw)
    strict: bool | None = None
    function: Function | None = None


class Place(Closed, frozen=True, omit_defaults=True):
    """Where the caller is, about."""

    type: Literal["approximate"] | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class WebSearchTool(AnyTool, frozen=True, tag="web_search"):
    """Lets the model search the web."""

    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: Place | None = None
    filters: None = None


class DatedWebSearchTool(WebSearchTool, frozen=True, tag="web_search_2025_08_26"):
    """`web_search` by its full name."""


class WebSearchPreviewTool(WebSearchTool, frozen=True, tag="web_search_preview"):
    """`web_search` by its older name."""


class DatedWebSearchPreviewTool(WebSearchTool, frozen=True, tag="web_search_preview_2025_03_11"):
    """`web_search_preview` by its full name."""


Tools = FunctionTool | WebSearchTool | DatedWebSearchTool | WebSearchPreviewTool | DatedWebSearchPreviewTool


class FunctionName(Closed, frozen=True):
    name: NonEmpty


class FunctionChoice(Closed, frozen=True):
    """Forces the one function, named here or inside `function`; it must be among `tools`."""

    type: Literal["function"]
    name: NonEmpty | None = None
    function: FunctionName | None = None


class ReasoningConfig(Closed, frozen=True):
    """How much to think; `exclude`: think, but do not show it."""

    effort: Literal["none", "low", "medium", "high"] | None = None
    exclude: bool | None = None


class ResponseRequest(Closed, frozen=True):
    """`previous_response_id` continues a stored response, without its `instructions` and `tools`."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: str | Annotated[tuple[RawItem, ...], Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    tools: tuple[Tools, ...] | None = None
    tool_choice: Literal["auto", "none", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningConfig | None = None
    previous_response_id: NonEmpty | None = None
    stream: bool | None = None


_NOT_SUPPORTED = "This parameter is not supported."

HINTS: Hints = {
    **{
        (ResponseRequest, name): _NOT_SUPPORTED
        for name in (
            "background",
            "context_management",
            "conversation",
            "max_tool_calls",
            "metadata",
            "prompt",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "seed",
            "service_tier",
            "stop",
            "stream_options",
            "top_k",
            "top_logprobs",
            "truncation",
            "user",
        )
    },
    (ResponseRequest, "store"): f"{_NOT_SUPPORTED} Whether responses are stored is a matter of the licence.",
    (ResponseRequest, "text"): f"{_NOT_SUPPORTED} Chat completions have 'response_format'.",
    (ResponseRequest, "response_format"): f"{_NOT_SUPPORTED} Chat completions have it.",
    (ResponseRequest, "include"): f"{_NOT_SUPPORTED} What it would add is kept, and goes back to the model.",
    (ResponseRequest, "messages"): "Use 'input' instead.",
    (ResponseRequest, "system"): "Use 'instructions' instead.",
    (ResponseRequest, "max_tokens"): "Use 'max_output_tokens' instead.",
    (ResponseRequest, "max_completion_tokens"): "Use 'max_output_tokens' instead.",
    (ResponseRequest, "reasoning_effort"): "Use 'reasoning' with 'effort' instead.",
    (ResponseRequest, "thinking"): "Use 'reasoning' instead.",
    (ResponseRequest, "functions"): "Use 'tools' instead.",
    (ResponseRequest, "function_call"): "Use 'tool_choice' instead.",
    (ResponseRequest, "web_search_options"): "Use a tool of the type 'web_search' instead.",
    (ResponseRequest, "provider"): "Use the header X-Quantized-Provider to force a provider.",
    (
        ReasoningConfig,
        "summary",
    ): "Reasoning is told in full where a model shows it; 'exclude' leaves it out.",
    (ReasoningConfig, "generate_summary"): "Reasoning is told in full; 'exclude' leaves it out.",
    (ReasoningConfig, "max_tokens"): "Use 'effort' instead.",
    (WebSearchTool, "filters"): "Searches cannot be limited to domains.",
    (InputImagePart, "file_id"): "There are no stored files; give the image as 'image_url'.",
    (
        ReasoningItem,
        "encrypted_content",
    ): "Reasoning is kept here: send the item's 'id' or leave the item out.",
    (AssistantItem, "phase"): "It must be null.",
    (FunctionCallItem, "namespace"): "It must be null.",
}
"""What to do instead of fields that other APIs have and this one has not."""
