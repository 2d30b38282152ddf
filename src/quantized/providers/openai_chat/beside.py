"""What a server puts beside a call or a message and wants to find there again: `extra_content`, an object of
its own, such as the signature of the thought that led to a call.

A caller gets it in the form that clients know for what they cannot read, an element of `reasoning_details`:

    {"type": "reasoning.encrypted", "format": "extra_content", "provider": …, "data": …, "index": …, "id": …}

`id` is that of the call, and left out for what stood beside the message; `data` is the object as it was
written. Nobody but the provider that is named gets it back, and gets it back as the object that it was.
"""

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType
from msgspec.json import Decoder, decode, encode

from quantized.core.errors import InvalidRequest
from quantized.core.parts import Seal
from quantized.providers.places import DamagedSeal
from quantized.wire.strict import require_object

KIND = "message_details"
"""The kind of a seal whose payload is one such block. The message is not taken back without it, so it is told
to callers who do not want to read the reasoning, too."""

NOTHING = Raw()

_FORMAT = "extra_content"
_DEEPEST = 32
"""Arrays and objects within each other. A signature is two deep."""


class _Block(Struct, frozen=True):
    type: Literal["reasoning.encrypted"]
    format: Literal["extra_content"]
    provider: str
    data: str
    index: Any = None
    id: str | UnsetType | None = UNSET


class _Head(Struct, frozen=True):
    """Of any block at all."""

    format: Any = None
    index: Any = None


_block = Decoder(_Block).decode
_head = Decoder(_Head).decode
_blocks = Decoder(list[Raw]).decode


def told(raw: Raw) -> str | None:
    """The object of a field that was told, None where there is none that says anything."""
    written = bytes(raw).decode()
    return written if written.strip("{} \t\r\n") and _is_sound(written) else None


def seal(provider: str, index: int, call_id: str | None, data: str) -> Seal:
    """`index` is that of no other block of the message: clients add up what they read by it."""
    block = _Block(
        "reasoning.encrypted", "extra_content", provider, data, index, UNSET if call_id is None else call_id
    )
    return Seal(provider, KIND, encode(block))


def index_behind(details: bytes) -> int:
    """The first that is free behind these blocks of the server's own."""
    indices = [index for block in _blocks(details) if isinstance(index := _read_head(block).index, int)]
    return max(indices, default=-1) + 1


def is_ours(seal: Seal, provider: str) -> bool:
    """Whether `provider` said this, as `seal` has it. A caller may have handed it back."""
    if seal.minted_by != provider or not seal.payload.startswith(b"{"):
        return False
    return bool(_read_head(seal.payload).format == _FORMAT)


class Beside:
    """What stood beside the calls of one message, by their ids, and beside itself. Raises DamagedSeal where
    one of the seals, which `is_ours`, is not as it was."""

    def __init__(self, seals: Iterable[Seal]) -> None:
        self._told: dict[str | None, list[str]] = {}
        for one in seals:
            try:
                block = _block(one.payload)
            except (DecodeError, RecursionError) as error:
                raise DamagedSeal from error
            if not _is_sound(block.data):
                raise DamagedSeal
            call_id = block.id if isinstance(block.id, str) else None
            self._told.setdefault(call_id, []).append(block.data)

    def of(self, call_id: str | None) -> Raw | None:
        """What belongs beside this call, or beside the message. What came in pieces is put together, the
        later word counting; what did not is as it came."""
        pieces = self._told.get(call_id)
        if pieces is None:
            return None
        if len(pieces) == 1:
            return Raw(pieces[0].encode())
        joined: dict[str, Any] = {}
        for piece in pieces:
            _add(joined, decode(piece))
        return Raw(encode(joined))


def _read_head(block: bytes | Raw) -> _Head:
    """An empty one where there is none that can be read."""
    try:
        return _head(block)
    except (DecodeError, RecursionError):
        return _Head()


def _is_sound(data: str) -> bool:
    try:
        require_object(Raw(data.encode()), "data", _DEEPEST)
    except (InvalidRequest, UnicodeError):
        return False
    return True


def _add(joined: dict[str, Any], piece: dict[str, Any]) -> None:
    for name, value in piece.items():
        known = joined.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            _add(known, value)
        else:
            joined[name] = value
