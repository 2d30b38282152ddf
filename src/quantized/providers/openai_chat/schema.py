"""What a Chat Completions server may say. Open and tolerant: servers add, omit and null as they please."""

from typing import Any

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from quantized.providers.openai_chat.usage import Reported


class FunctionDelta(Struct, frozen=True, gc=False):
    """`arguments` is JSON text; some servers send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallDelta(Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: FunctionDelta | None = None


class AudioPiece(Struct, frozen=True, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class ImageUrl(Struct, frozen=True, gc=False):
    url: str


class ImagePiece(Struct, frozen=True, gc=False):
    image_url: ImageUrl


class Delta(Struct, frozen=True):
    """A piece of the message, or, in a JSON body, all of it: the fields are the same."""

    role: str | None = None
    content: str | list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[Raw] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionDelta | None = None
    annotations: list[Raw] | None = None
    images: list[ImagePiece] | None = None
    audio: AudioPiece | None = None


class Logprobs(Struct, frozen=True):
    content: list[Raw] | None = None
    refusal: list[Raw] | None = None


class Choice(Struct, frozen=True):
    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    error: Any = None


class Chunk(Struct, frozen=True):
    """One frame of a stream, or a whole body."""

    id: str | int | None = None
    model: str | None = None
    created: int | float | None = None
    system_fingerprint: str | None = None
    choices: list[Choice] | None = None
    usage: Reported | None = None
    error: Any = None


UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)
"""What reading bytes of a stranger's as JSON raises."""

_decode = Decoder(Chunk).decode


def decode_chunk(payload: bytes) -> Chunk:
    """Raises one of UNREADABLE. Text first: the JSON decoder does not look into what it hands on raw."""
    return _decode(payload.decode())
