"""The assistant's turns on their way back: every sealed block in the place it was minted in, or none.

A conversation comes back in one of two forms. Where its items were kept, the parts are in their order, and it
only has to be checked that nothing between them changed. Where an answer went through a chat message, its
texts are one text, the calls and the seals apart from it; then the seals tell where each of them stood.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from quantized.core.parts import AnyPart, CacheMark, Reasoning, Refusal, Seal, Text, ToolCall
from quantized.providers.content import nothing_to_mark, outlasting
from quantized.providers.places import DamagedSeal, MadeCall, Neighbour, SaidText, SealedBlock, checksum
from quantized.providers.refusal import Damaged, unsupported


class Said(Struct, frozen=True):
    """A text as it came. A refusal is said too, but no block of the answer that it is told with. `beside`: as
    `places.SaidText` has it."""

    text: str
    path: str
    cache: CacheMark | None = None
    apart: bool = False
    beside: dict[str, Any] = {}


class Called(Struct, frozen=True):
    call: ToolCall
    path: str


Piece = Said | Called | SealedBlock
Pieces = list[Piece]

ReadSeal = Callable[[Seal], SealedBlock | None]
"""The block of a seal, or None where somebody else sealed it. Raises DamagedSeal."""


def pieces(parts: Iterable[AnyPart], at: int, read: ReadSeal) -> Pieces:
    """Of the assistant's message number `at`. What others sealed is left out whole. Raises Refused."""
    found: Pieces = []
    texts = calls = 0
    for part in parts:
        match part:
            case Text(text, cache):
                path = f"messages[{at}].content[{texts}]"
                found.extend([Said(text, path, cache)] if text else _marked(found, cache, path))
                texts += 1
            case Refusal(text):
                found.append(Said(text, f"messages[{at}].refusal", apart=True))
            case ToolCall():
                found.append(Called(part, f"messages[{at}].tool_calls[{calls}]"))
                calls += 1
            case Reasoning(_, seals):
                found.extend(_unsealed(seals, at, read))
            case _:
                raise unsupported(
                    f"messages[{at}]",
                    "an assistant's message can say text and call functions; leave its audio and images out",
                )
    return found


def _unsealed(seals: Iterable[Seal], at: int, read: ReadSeal) -> Pieces:
    try:
        return [block for block in map(read, seals) if block is not None]
    except DamagedSeal as error:
        raise Damaged(f"messages[{at}].reasoning_details") from error


def _marked(found: Pieces, cache: CacheMark | None, path: str) -> Pieces:
    """Nothing, for a text that says nothing. A mark on it moves to the text before."""
    if cache is not None:
        if not found or not isinstance(found[-1], Said):
            raise nothing_to_mark(path)
        found[-1] = replace(found[-1], cache=outlasting(found[-1].cache, cache))
    return []


def in_order(messages: Sequence[Pieces]) -> Pieces | None:
    """All pieces as they stand, texts parted as they were; None where a seal stands elsewhere than it did."""
    out: Pieces = []
    pending: Pieces = []
    last = -1
    for message in messages:
        fresh = True
        for piece in message:
            if not isinstance(piece, SealedBlock):
                pending.append(piece)
                fresh = False
                continue
            if fresh and (piece.index == 0 or piece.index <= last):
                # Another answer begins: what is pending is the rest of the one before.
                out.extend(pending)
                pending = []
            elif piece.index <= last:
                return None
            fresh = False
            parted = _parted(pending, piece.before)
            if parted is None:
                return None
            out.extend([*parted, piece])
            pending, last = [], piece.index
    return [*out, *pending]


def by_places(messages: Sequence[Pieces]) -> Pieces | None:
    """The pieces in the order that their seals tell: of each message by itself, or of all together, should
    one answer have been spread over several. None where the seals no longer fit."""
    each = [_by_place(message) for message in messages]
    if None not in each:
        return [piece for message in each for piece in message or ()]
    return _by_place([piece for message in messages for piece in message])


def _by_place(message: Pieces) -> Pieces | None:
    said = _Waiting([piece for piece in message if isinstance(piece, Said) and not piece.apart])
    calls = _Waiting([piece for piece in message if isinstance(piece, Called)])
    apart = [piece for piece in message if isinstance(piece, Said) and piece.apart]
    sealed = [piece for piece in message if isinstance(piece, SealedBlock)]
    out: Pieces = []
    last = -1
    for piece in sealed:
        if piece.index <= last:
            return None
        last = piece.index
        begin = said.at, calls.at
        taken = _taken(said, calls, piece.before)
        if taken is None and piece.block is None and piece is sealed[-1]:
            # No block stands behind what was changed, so it is only as parted as it came.
            said.at, calls.at = begin
            break
        if taken is None:
            return None
        out.extend([*taken, piece])
    return [*out, *said.rest(), *apart, *calls.rest()]


def _parted(pending: Pieces, before: Iterable[Neighbour]) -> Pieces | None:
    """`pending` in the pieces of `before`, if it is just them."""
    waiting = _Waiting(pending)
    taken = _taken(waiting, waiting, before)
    return None if waiting.rest() else taken


def _taken(said: "_Waiting", calls: "_Waiting", before: Iterable[Neighbour]) -> Pieces | None:
    """The neighbours of a place, None where one is not there."""
    out: Pieces = []
    for neighbour in before:
        found = calls.call(neighbour) if isinstance(neighbour, MadeCall) else said.text(neighbour)
        if found is None:
            return None
        out.append(found)
    return out


class _Waiting:
    """Texts and calls on their way to their places, taken from the beginning. `at` is where that is, by the
    piece and the code point within it: a text is cut where it is taken, so all of it is looked at once,
    however many places share it."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = list(pieces)
        self.at = (0, 0)

    def call(self, made: MadeCall) -> Called | None:
        """The call that comes next, if it is this one."""
        number, offset = self.at
        piece = self._next()
        if offset or not isinstance(piece, Called) or piece.call.id != made.id:
            return None
        self.at = (number + 1, 0)
        return piece

    def text(self, wanted: SaidText) -> Said | None:
        """The text that comes next, if it is this one. A mark stays at the end of what it was put on."""
        number, offset = self.at
        first = self._next()
        said: list[str] = []
        cache = None
        missing = wanted.length
        while missing:
            piece = self._next()
            if not isinstance(piece, Said) or piece.apart:
                return None
            number, offset = self.at
            said.append(piece.text[offset : offset + missing])
            missing -= len(said[-1])
            if offset + len(said[-1]) == len(piece.text):
                self.at = (number + 1, 0)
                cache = piece.cache or cache
            else:
                self.at = (number, offset + len(said[-1]))
        whole = "".join(said)
        if not isinstance(first, Said) or checksum(whole) != wanted.check:
            return None
        return Said(whole, first.path, cache, beside=wanted.beside)

    def rest(self) -> Pieces:
        number, offset = self.at
        left = self._pieces[number:]
        if offset and isinstance(left[0], Said):
            left[0] = replace(left[0], text=left[0].text[offset:])
        return left

    def _next(self) -> Piece | None:
        number, _ = self.at
        return self._pieces[number] if number < len(self._pieces) else None
