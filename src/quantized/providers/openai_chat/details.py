"""Reasoning details on their way back to their maker.

A JSON answer holds each block whole. A stream brings a readable block in fragments with one `index`, its
signature last, and a server that checks signatures refuses the fragments: it wants its block. So fragments
are put together, and everything else goes back byte for byte.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import decode, encode

from quantized.core.parts import Seal

_TEXT_OF = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""The kinds that come in fragments, and the field that grows. Encrypted blocks never do."""


class _Detail(Struct, frozen=True):
    """A caller may have handed it back, so nothing is certain of it."""

    type: Any = None
    index: Any = None
    signature: Any = None


def whole(seals: Iterable[Seal]) -> list[Raw]:
    """The blocks of these seals, in order. Raises msgspec.DecodeError where a payload is neither an object
    nor an array of them."""
    blocks: list[list[Raw]] = []
    last: _Detail | None = None
    for seal in seals:
        told = decode(seal.payload, type=list[Raw]) if seal.payload.startswith(b"[") else [Raw(seal.payload)]
        for raw in told:
            detail = decode(raw, type=_Detail)
            if last is not None and _continues(last, detail):
                blocks[-1].append(raw)
            else:
                blocks.append([raw])
            last = detail
    return [fragments[0] if len(fragments) == 1 else _join(fragments) for fragments in blocks]


def _continues(last: _Detail, detail: _Detail) -> bool:
    """A signature closes its block."""
    return (
        isinstance(last.index, int)
        and (last.index, last.type) == (detail.index, detail.type)
        and isinstance(detail.type, str)
        and detail.type in _TEXT_OF
        and not last.signature
    )


def _join(fragments: list[Raw]) -> Raw:
    joined: dict[str, Any] = {}
    for fragment in fragments:
        piece: dict[str, Any] = decode(fragment)
        field = _TEXT_OF[piece["type"]]
        text = "".join(said for said in (joined.get(field), piece.get(field)) if isinstance(said, str))
        joined.update(
            (name, value) for name, value in piece.items() if value is not None or name not in joined
        )
        joined[field] = text
    return Raw(encode(joined))
