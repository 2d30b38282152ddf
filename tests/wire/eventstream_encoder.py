"""Writes `application/vnd.amazon.eventstream`, for whoever plays AWS in a test."""

from collections.abc import Mapping
from struct import pack
from uuid import UUID
from zlib import crc32

from quantized.wire.aws_eventstream import HeaderValue


def frame(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """One message, with integers in the four-byte form."""
    return framed(b"".join(header(name, value) for name, value in headers.items()), payload)


def framed(block: bytes, payload: bytes) -> bytes:
    """One message, with the bytes of its headers as they are."""
    prelude = pack(">II", 16 + len(block) + len(payload), len(block))
    whole = prelude + pack(">I", crc32(prelude)) + block + payload
    return whole + pack(">I", crc32(whole))


def header(name: str, value: HeaderValue) -> bytes:
    match value:
        case bool():
            return typed(name, 0 if value else 1, b"")
        case int():
            return typed(name, 4, pack(">i", value))
        case bytes():
            return typed(name, 6, pack(">H", len(value)) + value)
        case str():
            return typed(name, 7, pack(">H", len(value.encode())) + value.encode())
        case UUID():
            return typed(name, 9, value.bytes)


def typed(name: str, kind: int, value: bytes) -> bytes:
    return bytes([len(name.encode())]) + name.encode() + bytes([kind]) + value


def event(kind: str, payload: bytes) -> bytes:
    """An event as the services send them."""
    return frame(
        {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload
    )
