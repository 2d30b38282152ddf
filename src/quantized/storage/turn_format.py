"""The blobs that a turn is stored as: a byte that numbers the format, then MessagePack.

JSON as the API shows it travels as bytes, so that it comes back as it went, byte for byte.
"""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from quantized.core.errors import LedgerUnavailable
from quantized.core.parts import Reasoning
from quantized.core.request import Message
from quantized.core.turns import StoredItem, Turn, TurnStatus
from quantized.storage.records import Rejected

T = TypeVar("T")

_FORMAT = b"\x01"


class Answer(Struct, frozen=True):
    """What a turn's `answer` holds: all but its input and its part of the conversation."""

    status: TurnStatus
    body: Raw
    output: tuple[StoredItem, ...]


_encoder = msgspec.msgpack.Encoder()
_context = msgspec.msgpack.Decoder(tuple[Message, ...])
_answer = msgspec.msgpack.Decoder(Answer)
_input = msgspec.msgpack.Decoder(tuple[StoredItem, ...])
_reasoning = msgspec.msgpack.Decoder(tuple[Reasoning, ...])
_json = msgspec.msgpack.Decoder(bytes)


def encode_context(turn: Turn) -> bytes:
    """Raises, as all of these, Rejected for what cannot be written (half a surrogate pair, say)."""
    return _encode(turn.messages)


def encode_answer(turn: Turn) -> bytes:
    return _encode(Answer(turn.status, _packed(turn.body), _packed_items(turn.output)))


def encode_input(turn: Turn) -> bytes:
    return _encode(_packed_items(turn.input))


def encode_reasoning(reasoning: tuple[Reasoning, ...]) -> bytes:
    return _encode(reasoning)


def decode_context(blob: bytes) -> tuple[Message, ...]:
    """Raises, as all of these, LedgerUnavailable for what this version cannot read."""
    return _decode(_context, blob)


def decode_answer(blob: bytes) -> Answer:
    answer = _decode(_answer, blob)
    return replace(answer, body=_unpacked(answer.body), output=_unpacked_items(answer.output))


def decode_input(blob: bytes) -> tuple[StoredItem, ...]:
    return _unpacked_items(_decode(_input, blob))


def decode_reasoning(blob: bytes) -> tuple[Reasoning, ...]:
    return _decode(_reasoning, blob)


def _encode(value: object) -> bytes:
    try:
        return _FORMAT + _encoder.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise Rejected(f"a turn cannot be encoded: {error}") from error


def _decode(decoder: msgspec.msgpack.Decoder[T], blob: bytes) -> T:
    if blob[:1] != _FORMAT:
        raise LedgerUnavailable(cause=f"a stored turn has a format unknown to this version: {blob[:1]!r}")
    try:
        return decoder.decode(memoryview(blob)[1:])
    except msgspec.MsgspecError as error:
        raise LedgerUnavailable(cause=f"a stored turn cannot be read: {error}") from error


def _packed(json: Raw) -> Raw:
    # MessagePack would take raw bytes for MessagePack.
    return Raw(_encoder.encode(bytes(json)))


def _packed_items(items: tuple[StoredItem, ...]) -> tuple[StoredItem, ...]:
    return tuple([replace(item, json=_packed(item.json)) for item in items])


def _unpacked(packed: Raw) -> Raw:
    return Raw(_json.decode(packed))


def _unpacked_items(items: tuple[StoredItem, ...]) -> tuple[StoredItem, ...]:
    return tuple([replace(item, json=_unpacked(item.json)) for item in items])
