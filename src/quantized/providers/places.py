"""The places of sealed blocks among the texts and calls of their message.

Surfaces join the texts of an answer into one and part them from thoughts and calls. A provider that checks
the order of its blocks needs each where it was, so each is sealed with what stood before it.
"""

from typing import Any
from zlib import crc32

from msgspec import Struct


class SaidText(Struct, frozen=True, tag_field="type", tag="text"):
    """A block of text, by its length in code points and a checksum."""

    length: int
    check: int

    @classmethod
    def of(cls, text: str) -> "SaidText":
        return cls(len(text), crc32(text.encode("utf-8", "surrogatepass")))


class MadeCall(Struct, frozen=True, tag_field="type", tag="tool_use"):
    id: str


Neighbour = SaidText | MadeCall


class SealedBlock(Struct, frozen=True):
    """A block as it goes back, and its place: `index` in its message, `before` since the sealed block before
    it or the beginning. `thought`: it is thinking, which leads to something."""

    block: dict[str, Any]
    index: int
    before: tuple[Neighbour, ...]
    model: str | None
    thought: bool
