"""What a request says, in blocks: the form that languages of turns and blocks share."""

from typing import Any, Literal

from msgspec import Struct

from quantized.core.parts import Audio, CacheMark, File, Image, Text

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
