"""What a request says, in blocks: the form that languages of turns and blocks share."""

from typing import Any, Literal

from msgspec import Struct

from quantized.core.parts import Audio, CacheMark, File, Image, Text
from quantized.providers.refusal import Refused, unsupported

Said = Text | Image | Audio | File


class Block(Struct):
    """A content block (or a tool) as it is sent, and the caller's field that it comes from. `cache`: the
    prefix up to here is to be cached. `thought`: a model's own thinking. `result`: what a call returned."""

    body: dict[str, Any]
    path: str
    cache: CacheMark | None = None
    thought: bool = False
    result: bool = False


class Turn(Struct):
    role: Literal["user", "assistant"]
    blocks: list[Block]


def outlasting(mark: CacheMark | None, other: CacheMark) -> CacheMark:
    """The one mark for a place that has two."""
    return mark if mark is not None and mark.ttl == "1h" else other


def nothing_to_mark(path: str) -> Refused:
    """`path` is that of a part that says nothing and is marked all the same."""
    return unsupported(
        f"{path}.cache_control",
        "neither it nor what is before it can be cached; mark a part that says something",
    )
