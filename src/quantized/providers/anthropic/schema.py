"""What a Messages server may say. Open and tolerant: the API adds fields, events and kinds of blocks as it
grows, and servers that imitate it leave some out."""

from typing import Any

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from quantized.providers.anthropic.usage import Reported


class StopDetails(Struct, frozen=True, gc=False):
    explanation: str | None = None


class Head(Struct, frozen=True):
    """A message without its content: all of it that `message_start` tells."""

    id: str | None = None
    model: str | None = None
    usage: Reported | None = None


class Delta(Struct, frozen=True):
    """What grows a block, or, in `message_delta`, the message."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Raw = Raw()
    stop_reason: str | None = None
    stop_details: StopDetails | None = None


class Frame(Struct, frozen=True):
    """One event of a stream."""

    type: str
    index: int | None = None
    message: Head | None = None
    content_block: Raw = Raw()
    delta: Delta | None = None
    usage: Reported | None = None


class Body(Struct, frozen=True):
    """A whole message, or an error in its place."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_details: StopDetails | None = None
    usage: Reported | None = None
    error: Any = None


class Block(Struct, frozen=True):
    """A block of content as it begins, or, in a body, all of it."""

    type: str
    id: str | None = None
    name: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    input: Raw = Raw()
    citations: list[Raw] | None = None


class _Typed(Struct, frozen=True):
    type: str


_EVENTS = frozenset(
    {
        "message_start",
        "message_delta",
        "message_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "error",
    }
)
_frame, _typed = Decoder(Frame).decode, Decoder(_Typed).decode
_body, _block = Decoder(Body).decode, Decoder(Block).decode


def decode_frame(payload: bytes) -> Frame | None:
    """None for an event that is not known, whatever it holds. Raises one of UNREADABLE. Text first: the JSON
    decoder does not look into what it hands on raw."""
    text = payload.decode()
    try:
        frame = _frame(text)
    except DecodeError:
        if _typed(text).type in _EVENTS:
            raise
        return None
    return frame if frame.type in _EVENTS else None


def decode_answer(body: bytes) -> Body:
    """Raises one of UNREADABLE."""
    return _body(body.decode())


def decode_block(raw: Raw) -> Block:
    """Raises one of UNREADABLE."""
    return _block(raw)
