"""Cache marks: the caller's own, checked, and automatic ones in the room that they leave.

A prefix that is marked costs a quarter more than plain input when it is written and a tenth when it is read.
The API reads the longest prefix that an earlier request marked, and looks for it some twenty blocks back, so
the end of the turn before is marked as well: that is what the request before has written.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

from msgspec.json import encode

from quantized.core.parts import CacheMark
from quantized.providers.anthropic.content import Block, mark
from quantized.providers.anthropic.history import Turn
from quantized.providers.anthropic.refusal import unsupported

AutomaticCaching = Literal["off", "continued", "always"]

MOST_MARKS = 4
_FIELD = "cache_control"
_BYTES_PER_TOKEN = 2
"""Text with more tokens than one for two bytes is rare. A prefix thought too long costs nothing, for what is
too short is not cached; one thought too short would not be cached at all."""
_BYTES_OF_MEDIA = 2_000
"""What a picture or a document weighs at least; its base64 says nothing about its tokens."""


def check_marks(tools: list[Block], system: list[Block], turns: list[Turn]) -> None:
    """Raises UnsupportedParameter for the fifth mark, and for one that outlives a mark before it."""
    marked = [block for block in _prefix(tools, system, turns) if _FIELD in block.body]
    if len(marked) > MOST_MARKS:
        raise unsupported(
            f"{marked[MOST_MARKS].path}.{_FIELD}", f"a request has at most {MOST_MARKS} cache marks"
        )
    short = False
    for block in marked:
        if _is_long(block) and short:
            raise unsupported(
                f"{block.path}.{_FIELD}.ttl",
                "marks of an hour come before those of five minutes, in the order tools, instructions, "
                "messages",
            )
        short = short or not _is_long(block)


def mark_automatically(
    tools: list[Block], system: list[Block], turns: list[Turn], mode: AutomaticCaching, cacheable: int
) -> None:
    """Marks the end of the history, of what stays the same (tools and instructions), and of the user's turn
    before, in this order, as far as there is room. `cacheable`: the tokens of the shortest prefix that is
    cached; nothing that is certainly shorter is marked.

    In the mode `continued` only a request that continues a conversation is marked.
    """
    if mode == "off" or (mode == "continued" and all(turn.role == "user" for turn in turns)):
        return
    prefix = list(_prefix(tools, system, turns))
    marks = [at for at, block in enumerate(prefix) if _FIELD in block.body]
    # A mark of five minutes may not stand before one of an hour.
    first = max((at + 1 for at in marks if _is_long(prefix[at])), default=0)
    asked = [turn for turn in turns if turn.role == "user"]
    ends = [asked[-1].blocks[-1], *(system or tools)[-1:], *(turn.blocks[-1] for turn in asked[-2:-1])]
    least = _reaching(prefix, cacheable * _BYTES_PER_TOKEN)
    room = MOST_MARKS - len(marks)
    for end in ends:
        at = next(n for n, block in enumerate(prefix) if block is end)
        if room and at >= max(first, least) and _FIELD not in end.body:
            mark(end, CacheMark())
            room -= 1


def _prefix(tools: list[Block], system: list[Block], turns: list[Turn]) -> Iterator[Block]:
    """In the order in which the API reads a request."""
    return chain(tools, system, chain.from_iterable(turn.blocks for turn in turns))


def _is_long(block: Block) -> bool:
    return bool(block.body[_FIELD].get("ttl") == "1h")


def _reaching(prefix: Iterable[Block], bytes_wanted: int) -> int:
    """The position of the first block with which that many bytes are reached."""
    weight, at = 0, -1
    for at, block in enumerate(prefix):
        kind = block.body.get("type")
        weight += _BYTES_OF_MEDIA if kind in {"image", "document"} else _weight(block)
        if weight >= bytes_wanted:
            return at
    return at + 1


def _weight(block: Block) -> int:
    text = block.body.get("text")
    return len(text.encode("utf-8", "surrogatepass")) if isinstance(text, str) else len(encode(block.body))
