"""A response as a caller reads it: what surrounds its `output`, and what it cost."""

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.json import Encoder

from quantized.core.usage import Bill
from quantized.surfaces.responses.output import OutputItem

_ENCODER = Encoder()

Status = Literal["completed", "incomplete", "failed", "in_progress"]


class InputTokensDetails(Struct, frozen=True):
    """Of `input_tokens`. `cache_write_tokens` contains `cache_write_1h_tokens`; those and the audio are told
    where there are any."""

    cached_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int | UnsetType = UNSET
    audio_tokens: int | UnsetType = UNSET


class OutputTokensDetails(Struct, frozen=True):
    """Of `output_tokens`. Audio and images are told where there are any."""

    reasoning_tokens: int
    audio_tokens: int | UnsetType = UNSET
    image_tokens: int | UnsetType = UNSET


class ResponseUsage(Struct, frozen=True):
    """Counts in tokens, credits in micro-credits. `credits_remaining` is null for an unlimited licence.

    `web_searches` is told where there were any; `estimated` where the provider reported no usage and the
    counts are the gateway's own.
    """

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int
    credits_used: int
    credits_remaining: int | None
    web_searches: int | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


class ResponseError(Struct, frozen=True):
    """Why a response failed."""

    code: Literal["server_error", "invalid_prompt"]
    message: str


class IncompleteDetails(Struct, frozen=True):
    reason: Literal["max_output_tokens", "content_filter"]


class ToldFunction(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    """A function as it was asked with."""

    name: str
    description: str | None
    parameters: Raw | None
    strict: bool | None


class ToldPlace(Struct, frozen=True, kw_only=True, tag_field="type", tag="approximate"):
    city: str | None
    country: str | None
    region: str | None
    timezone: str | None


class ToldSearch(Struct, frozen=True, kw_only=True, tag_field="type", tag="web_search"):
    """A web search as it was asked for."""

    search_context_size: Literal["low", "medium", "high"] | None
    user_location: ToldPlace | None


class ToldDatedSearch(ToldSearch, frozen=True, tag="web_search_2025_08_26"):
    """A web search that was asked for by its full name."""


class ToldPreview(ToldSearch, frozen=True, tag="web_search_preview"):
    """A web search that was asked for by its older name."""


class ToldDatedPreview(ToldSearch, frozen=True, tag="web_search_preview_2025_03_11"):
    """A web search that was asked for by the full form of its older name."""


ToldTool = ToldFunction | ToldSearch | ToldDatedSearch | ToldPreview | ToldDatedPreview


class ToldChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    name: str


class ToldReasoning(Struct, frozen=True, kw_only=True):
    effort: Literal["none", "low", "medium", "high"] | None = None
    summary: None = None
    exclude: bool | UnsetType = UNSET


class PlainText(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """There is no other format to ask for."""


class TextConfig(Struct, frozen=True, kw_only=True):
    format: PlainText = PlainText()


class ResponseBody(Struct, frozen=True, kw_only=True):
    """A response without its `output` and `usage`. `created_at` is Unix time in seconds. What cannot be asked
    for has OpenAI's default, or is null."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    background: Literal[False] = False
    error: ResponseError | None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: None = None
    metadata: dict[str, str] = {}
    model: str
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: None = None
    reasoning: ToldReasoning
    safety_identifier: None = None
    service_tier: None = None
    store: bool
    temperature: float | None
    text: TextConfig = TextConfig()
    tool_choice: Literal["auto", "none", "required"] | ToldChoice
    tools: tuple[ToldTool, ...]
    top_logprobs: None = None
    top_p: float | None
    truncation: Literal["disabled"] = "disabled"
    user: None = None
    frequency_penalty: float | None
    presence_penalty: float | None


class Response(ResponseBody, frozen=True, kw_only=True):
    """`usage` is null until the response has ended, and where nothing was charged."""

    output: tuple[OutputItem, ...]
    usage: ResponseUsage | None


class ErrorDetail(Struct, frozen=True):
    """`param` is the path of the field at fault, where it is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Struct, frozen=True):
    error: ErrorDetail


def usage_of(bill: Bill) -> ResponseUsage:
    used = bill.usage
    return ResponseUsage(
        input_tokens=used.input_total,
        input_tokens_details=InputTokensDetails(
            cached_tokens=used.cached_read,
            cache_write_tokens=used.cache_write + used.cache_write_1h,
            cache_write_1h_tokens=used.cache_write_1h or UNSET,
            audio_tokens=used.input_audio or UNSET,
        ),
        output_tokens=used.output_total,
        output_tokens_details=OutputTokensDetails(
            reasoning_tokens=used.reasoning,
            audio_tokens=used.output_audio or UNSET,
            image_tokens=used.output_image or UNSET,
        ),
        total_tokens=used.input_total + used.output_total,
        credits_used=bill.credits_used,
        credits_remaining=bill.credits_remaining,
        web_searches=used.web_searches or UNSET,
        estimated=bill.estimated or UNSET,
    )


def encode(value: Any) -> bytes:
    return _ENCODER.encode(value)


def whole(body: bytes, output: list[Raw], bill: Bill | None) -> bytes:
    """The response object from its parts; `body` is a ResponseBody in JSON."""
    usage = _ENCODER.encode(None if bill is None else usage_of(bill))
    items = b",".join([bytes(item) for item in output])
    return body[:-1] + b',"output":[' + items + b'],"usage":' + usage + b"}"
