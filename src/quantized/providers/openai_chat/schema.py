"""What a Chat Completions server may say. Open and tolerant: servers add, omit and null as they please."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import DecodeError, Meta, Raw, Struct
from msgspec.json import Decoder

from quantized.providers.openai_chat.beside import NOTHING
from quantized.providers.openai_chat.tolerant import read_tolerantly
from quantized.providers.openai_chat.usage import Reported


class FunctionDelta(Struct, frozen=True, gc=False):
    """`arguments` is JSON text; some servers send the object itself."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallDelta(Struct, frozen=True):
    """`extra_content` is the server's own, and of any type; empty where left out."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None
    extra_content: Raw = NOTHING


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
    """A piece of the message, or, in a JSON body, all of it: the fields are the same. `extra_content` as in a
    call."""

    role: str | None = None
    content: str | list[Any] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[Raw] | None = None
    refusal: str | None = None
    tool_calls: Sequence[ToolCallDelta] | None = None
    function_call: FunctionDelta | None = None
    annotations: list[Raw] | None = None
    images: list[ImagePiece] | None = None
    audio: AudioPiece | None = None
    extra_content: Raw = NOTHING


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
    choices: Sequence[Choice] | None = None
    usage: Reported | None = None
    error: Any = None


# The same as a caller may read them: whoever sends back what it has read must find all of it accepted. So
# what makes the message is closed, and says what chunks promise; around it servers may add what they like.


class KnownFunction(FunctionDelta, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class KnownToolCall(ToolCallDelta, frozen=True, forbid_unknown_fields=True):
    type: Literal["function"] | None = None
    function: KnownFunction | None = None


class KnownDelta(Delta, frozen=True, forbid_unknown_fields=True):
    role: Literal["assistant"] | None = None
    tool_calls: Sequence[KnownToolCall] | None = None


class KnownChoice(Choice, frozen=True, kw_only=True):
    index: Literal[0]
    delta: KnownDelta


class KnownChunk(Chunk, frozen=True, kw_only=True):
    """A frame that a caller may read as it came."""

    id: Annotated[str, Meta(min_length=1)]
    object: Literal["chat.completion.chunk"]
    model: Annotated[str, Meta(min_length=1)]
    created: Annotated[int, Meta(ge=1)]
    choices: Sequence[KnownChoice]


UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)
"""What reading bytes of a stranger's as JSON raises."""

_decode = Decoder(Chunk).decode
_decode_known = Decoder(KnownChunk).decode


def decode_chunk(payload: bytes) -> Chunk:
    """Raises one of UNREADABLE. Text first: the JSON decoder does not look into what it hands on raw."""
    return _decode_text(payload.decode())


def decode_frame(payload: bytes) -> Chunk:
    """A KnownChunk where it is one. Raises one of UNREADABLE."""
    text = payload.decode()
    try:
        return _decode_known(text)
    except DecodeError:
        return _decode_text(text)


def _decode_text(text: str) -> Chunk:
    try:
        return _decode(text)
    except DecodeError:
        return read_tolerantly(text, Chunk)
