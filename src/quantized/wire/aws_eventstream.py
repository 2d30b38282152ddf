"""`application/vnd.amazon.eventstream`, the binary framing of AWS's streams: bytes in any pieces to messages.

A message is a prelude (the length of it all, the length of its headers, a CRC of these eight bytes), headers,
a payload, and a CRC of everything before it. All numbers are big-endian.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from uuid import UUID
from zlib import crc32

HeaderValue = bool | int | bytes | str | UUID
"""Timestamps are integers: Unix time in milliseconds."""

Headers = Mapping[str, HeaderValue]

EventMessage = tuple[Headers, bytes]
"""(headers, payload)."""

_PRELUDE = Struct(">III")
_CRC = Struct(">I")
_OVERHEAD = _PRELUDE.size + _CRC.size
_HEADERS_LIMIT = 128 * 1024
# A stream repeats a handful of short header blocks; what is longer is rare, and not worth its memory.
_REMEMBERED = 512


class DamagedEventStream(Exception):
    """The bytes are no event stream, or not as they were sent. Nothing after the damage can be trusted."""


class EventStreamDecoder:
    """An incremental decoder. Any chunking of the same bytes gives the same messages, and the same damage
    after them. Messages longer than `limit` bytes, or with more than 128 KiB of headers, are damage."""

    __slots__ = ("_damage", "_limit", "_pending", "_wanted")

    def __init__(self, limit: int = 24 * 1024 * 1024) -> None:
        self._limit = limit
        self._pending = bytearray()
        # So many bytes must be pending before another look at them can tell anything.
        self._wanted = _PRELUDE.size
        self._damage: str | None = None

    def feed(self, data: bytes) -> Iterator[EventMessage]:
        """The messages that `data` completes. Where it is damaged, DamagedEventStream is raised after the
        last message before the damage; from then on, at once."""
        messages = self._split(data) if self._damage is None else []
        return iter(messages) if self._damage is None else _ending(messages, self._damage)

    def close(self) -> None:
        """There are no more bytes. Raises DamagedEventStream if they end within a message."""
        if self._damage is None and self._pending:
            self._damage = f"the stream ends {len(self._pending)} bytes into a message"
        if self._damage is not None:
            raise DamagedEventStream(self._damage)

    def _split(self, data: bytes) -> list[EventMessage]:
        pending = self._pending
        if pending:
            pending += data
            if len(pending) < self._wanted:
                return []
            data = bytes(pending)
            pending.clear()
        messages: list[EventMessage] = []
        start, end = 0, len(data)
        wanted = _PRELUDE.size
        try:
            while end - start >= wanted:
                size, headers_size, crc = _PRELUDE.unpack_from(data, start)
                if crc32(data[start : start + 8]) != crc:
                    raise DamagedEventStream("the CRC of a prelude is wrong")
                self._check_sizes(size, headers_size)
                if size > end - start:
                    wanted = size
                    break
                messages.append(_message(data[start : start + size], headers_size))
                start += size
        except DamagedEventStream as damage:
            self._damage = str(damage)
        else:
            self._wanted = wanted
            if start < end:
                pending += memoryview(data)[start:]
        return messages

    def _check_sizes(self, size: int, headers_size: int) -> None:
        if headers_size > _HEADERS_LIMIT:
            raise DamagedEventStream(f"headers of {headers_size} bytes, more than {_HEADERS_LIMIT}")
        if size > self._limit:
            raise DamagedEventStream(f"a message of {size} bytes, more than {self._limit}")
        if size < headers_size + _OVERHEAD:
            raise DamagedEventStream(f"a message of {size} bytes with {headers_size} bytes of headers")


def _ending(messages: list[EventMessage], damage: str) -> Iterator[EventMessage]:
    yield from messages
    raise DamagedEventStream(damage)


def _message(whole: bytes, headers_size: int) -> EventMessage:
    crc_at = len(whole) - _CRC.size
    (crc,) = _CRC.unpack_from(whole, crc_at)
    if crc32(memoryview(whole)[:crc_at]) != crc:
        raise DamagedEventStream("the CRC of a message is wrong")
    headers_end = _PRELUDE.size + headers_size
    block = whole[_PRELUDE.size : headers_end]
    headers = _known_headers(block) if headers_size <= _REMEMBERED else _headers(block)
    return headers, whole[headers_end:crc_at]


def _headers(block: bytes) -> Headers:
    """The headers that `block` consists of, and of nothing else."""
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            name, at = _text(block, at + 1, block[at])
            if name in headers:
                raise DamagedEventStream("a header comes twice")
            kind = block[at]
            if kind >= len(_READERS):
                raise DamagedEventStream(f"a header of the unknown type {kind}")
            headers[name], at = _READERS[kind](block, at + 1)
    except IndexError:
        raise DamagedEventStream("a header has no end") from None
    except UnicodeDecodeError:
        raise DamagedEventStream("a header is not UTF-8") from None
    return MappingProxyType(headers)


_known_headers = lru_cache(maxsize=64)(_headers)


def _piece(block: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(block):
        raise IndexError
    return block[at:end], end


def _text(block: bytes, at: int, size: int) -> tuple[str, int]:
    raw, end = _piece(block, at, size)
    return raw.decode(), end


_Reader = Callable[[bytes, int], tuple[HeaderValue, int]]


def _constant(value: bool) -> _Reader:
    return lambda _, at: (value, at)


def _integer(size: int) -> _Reader:
    def read(block: bytes, at: int) -> tuple[HeaderValue, int]:
        raw, end = _piece(block, at, size)
        return int.from_bytes(raw, "big", signed=True), end

    return read


def _read_bytes(block: bytes, at: int) -> tuple[bytes, int]:
    raw, at = _piece(block, at, 2)
    return _piece(block, at, int.from_bytes(raw, "big"))


def _read_text(block: bytes, at: int) -> tuple[HeaderValue, int]:
    raw, end = _read_bytes(block, at)
    return raw.decode(), end


def _read_uuid(block: bytes, at: int) -> tuple[HeaderValue, int]:
    raw, end = _piece(block, at, 16)
    return UUID(bytes=raw), end


# By the number of the type: true, false, byte, short, integer, long, bytes, text, timestamp, UUID.
_READERS: tuple[_Reader, ...] = (
    _constant(True),
    _constant(False),
    _integer(1),
    _integer(2),
    _integer(4),
    _integer(8),
    _read_bytes,
    _read_text,
    _integer(8),
    _read_uuid,
)
