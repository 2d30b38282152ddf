"""The places of sealed blocks among the texts and calls of their message.

Surfaces join the texts of an answer into one and part them from thoughts and calls. A provider that checks
the order of its blocks needs each where it was, so each is sealed with what stood before it.

Callers hand seals back, and may have written them: nothing here trusts one.
"""

from collections.abc import Callable
from typing import Annotated, Any
from zlib import crc32

from msgspec import Meta, Struct

_DEEPEST = 64
"""Levels of a sealed block. None that was minted has a dozen."""


class DamagedSeal(Exception):
    """A seal of ours that is not as it was minted."""


Index = Annotated[int, Meta(ge=0)]


class SaidText(Struct, frozen=True, tag_field="type", tag="text", omit_defaults=True):
    """A block of text, by its length in code points and a checksum. `beside`: what its block held beside the
    text, and goes back with it."""

    length: Annotated[int, Meta(ge=1)]
    check: int
    beside: dict[str, Any] = {}

    @classmethod
    def of(cls, text: str, beside: dict[str, Any] | None = None) -> "SaidText":
        return cls(len(text), checksum(text), beside or {})


class MadeCall(Struct, frozen=True, tag_field="type", tag="tool_use"):
    id: str


Neighbour = SaidText | MadeCall


class SealedBlock(Struct, frozen=True):
    """A block as it goes back, and its place: `index` in its message, `before` since the sealed block before
    it or the beginning. `thought`: it is thinking, which leads to something. `block` is None where a seal
    tells nothing but what stood before it."""

    block: dict[str, Any] | None
    index: int
    before: tuple[Neighbour, ...]
    model: str | None
    thought: bool


def checksum(text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"))


def all_inside(value: Any, allowed: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether every object in `value` is allowed. What is nested deeper than any block is not."""
    level = [value]
    for _ in range(_DEEPEST):
        objects = [one for one in level if isinstance(one, dict)]
        if not all(allowed(one) for one in objects):
            return False
        level = [inner for one in objects for inner in one.values()] + [
            inner for one in level if isinstance(one, list) for inner in one
        ]
        if not level:
            return True
    return False
