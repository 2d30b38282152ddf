"""What a caller of chat completions reads: the answer, its chunks and its errors."""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from quantized.core.events import FinishReason
from quantized.core.usage import Bill


class PromptTokensDetails(Struct, frozen=True):
    """Of `prompt_tokens`. `cache_write_tokens` contains `cache_write_1h_tokens`, told where there are any."""

    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int
    cache_write_1h_tokens: int | UnsetType = UNSET


class CompletionTokensDetails(Struct, frozen=True):
    """Of `completion_tokens`. `image_tokens` is told where there are any."""

    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int | UnsetType = UNSET


class Usage(Struct, frozen=True):
    """Counts in tokens, credits in micro-credits. `credits_remaining` is null for an unlimited licence.

    `web_searches` is told where there were any; `estimated` where the provider reported no usage and the
    counts are the gateway's own.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    credits_used: int
    credits_remaining: int | None
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails
    web_searches: int | UnsetType = UNSET
    estimated: bool | UnsetType = UNSET


class FunctionCall(Struct, frozen=True):
    """`arguments` is JSON text as the model wrote it."""

    name: str
    arguments: str


class ToolCall(Struct, frozen=True, kw_only=True):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class GeneratedImageUrl(Struct, frozen=True):
    url: str


class GeneratedImage(Struct, frozen=True, kw_only=True):
    """`index` counts the images of the message."""

    type: Literal["image_url"] = "image_url"
    image_url: GeneratedImageUrl
    index: int


class Audio(Struct, frozen=True):
    """`data` is base64. The `id` is empty, and `expires_at` 0, where the provider keeps nothing."""

    id: str
    data: str
    transcript: str
    expires_at: int


class Message(Struct, frozen=True, kw_only=True):
    """`content` is null where the model said nothing but did something else, such as calling a tool;
    `reasoning` where it did not reason, or the caller does not want to read it."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None
    reasoning: str | None
    reasoning_details: list[Raw] | UnsetType = UNSET
    tool_calls: list[ToolCall] | UnsetType = UNSET
    annotations: list[Raw] | UnsetType = UNSET
    images: list[GeneratedImage] | UnsetType = UNSET
    audio: Audio | UnsetType = UNSET


class Logprobs(Struct, frozen=True):
    content: list[Raw] | None
    refusal: list[Raw] | None


class Choice(Struct, frozen=True):
    index: int
    message: Message
    finish_reason: FinishReason
    logprobs: Logprobs | None


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """`created` is Unix time in seconds."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    model: str
    choices: list[Choice]
    usage: Usage
    created: int
    system_fingerprint: str | None


class FunctionDelta(Struct, frozen=True, kw_only=True):
    name: str | UnsetType | None = UNSET
    arguments: str | UnsetType | None = UNSET


class ToolCallDelta(Struct, frozen=True, kw_only=True):
    """`index` counts the tool calls of the message; `id`, `type` and the name come with the first."""

    index: int
    id: str | UnsetType | None = UNSET
    type: Literal["function"] | UnsetType | None = UNSET
    function: FunctionDelta | UnsetType | None = UNSET


class AudioDelta(Struct, frozen=True):
    """`id` and `expires_at` come once, the rest in pieces."""

    id: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET
    expires_at: int | UnsetType = UNSET


class Delta(Struct, frozen=True):
    """What one chunk adds to the message; null is nothing."""

    role: Literal["assistant"] | UnsetType | None = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    reasoning_details: list[Raw] | UnsetType | None = UNSET
    tool_calls: list[ToolCallDelta] | UnsetType | None = UNSET
    annotations: list[Raw] | UnsetType | None = UNSET
    images: list[GeneratedImage] | UnsetType | None = UNSET
    audio: AudioDelta | UnsetType | None = UNSET


class ChunkChoice(Struct, frozen=True, kw_only=True):
    index: int = 0
    delta: Delta
    finish_reason: FinishReason | None = None
    logprobs: Logprobs | None = None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True):
    """One piece of a streamed answer. `usage` comes in the last one, whose `choices` are empty; before it is
    null or left out."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str | None = None
    choices: list[ChunkChoice]
    usage: Usage | UnsetType | None = UNSET


class Error(Struct, frozen=True):
    """`param` is the path of the field at fault, where it is one."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Struct, frozen=True):
    """`usage` only in a stream that broke: what was charged for the part that came."""

    error: Error
    usage: Usage | UnsetType = UNSET


def usage_of(bill: Bill) -> Usage:
    used = bill.usage
    return Usage(
        prompt_tokens=used.input_total,
        completion_tokens=used.output_total,
        total_tokens=used.input_total + used.output_total,
        credits_used=bill.credits_used,
        credits_remaining=bill.credits_remaining,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=used.cached_read,
            cache_write_tokens=used.cache_write + used.cache_write_1h,
            audio_tokens=used.input_audio,
            cache_write_1h_tokens=used.cache_write_1h or UNSET,
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=used.reasoning,
            audio_tokens=used.output_audio,
            image_tokens=used.output_image or UNSET,
        ),
        web_searches=used.web_searches or UNSET,
        estimated=bill.estimated or UNSET,
    )
