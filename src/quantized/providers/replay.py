"""The assistant's turns on their way back: every sealed block in the place it was minted in, or none.

A conversation comes back in one of two forms. Where its items were kept, the parts are in their order, and it
only has to be checked that nothing between them changed. Where an answer went through a chat message, its
texts are one text, the calls and the seals apart from it; then the seals tell where each of them stood.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from quantized.core.parts import AnyPart, CacheMark, Reasoning, Refusal, Seal, Text, ToolCall
from quantized.providers.places import MadeCall, Neighbour, SaidText, SealedBlock
from quantized.providers.refusal import unsupported


class Said(Struct, frozen=True):
    """A text as it came. A refusal is said too, but no block of the answer that it is told with."""

    text: str
    path: str
    cache: CacheMark | None = None
    apart: bool = False


class Called(Struct, frozen=True):
    call: ToolCall
    path: str


Piece = Said | Called | SealedBlock
Pieces = list[Piece]

ReadSeal = Callable[[Seal], SealedBlock | None]
"""The block of a seal, or None where somebody else sealed it."""


def pieces(parts: Iterable[AnyPart], at: int, read: ReadSeal) -> Pieces:
    """Of the assistant's message number `at`. What others sealed is left out whole. Raises Refused and
    whatever `read` raises."""
    found: Pieces = []
    texts = calls = 0
    for part in parts:
        match part:
            case Text(text, cache):
                found.append(Said(text, f"messages[{at}].content[{texts}]", cache))
                texts += 1
            case Refusal(text):
                found.append(Said(text, f"messages[{at}].refusal", apart=True))
            case ToolCall():
                found.append(Called(part, f"messages[{at}].tool_calls[{calls}]"))
                calls += 1
            case Reasoning(_, seals):
                found.extend([block for block in map(read, seals) if block is not None])
            case _:
                raise unsupported(
                    f"messages[{at}]",
                    "an assistant's message can say text and call functions; leave its audio and images out",
                )
    return found


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
    said = [piece for piece in message if isinstance(piece, Said) and not piece.apart]
    calls = [piece for piece in message if isinstance(piece, Called)]
    apart = [piece for piece in message if isinstance(piece, Said) and piece.apart]
    out: Pieces = []
    last = -1
    for piece in message:
        if not isinstance(piece, SealedBlock):
            continue
        if piece.index <= last:
            return None
        last = piece.index
        for neighbour in piece.before:
            taken = _call(calls, neighbour) if isinstance(neighbour, MadeCall) else _text(said, neighbour)
            if taken is None:
                return None
            out.extend(taken)
        out.append(piece)
    return [*out, *said, *apart, *calls]


def _parted(pending: Pieces, before: Iterable[Neighbour]) -> Pieces | None:
    """`pending` in the pieces of `before`, if it is just them."""
    left = [piece for piece in pending if not (isinstance(piece, Said) and not piece.text)]
    out: Pieces = []
    for neighbour in before:
        run = _leading(left)
        taken: Pieces | None
        if isinstance(neighbour, SaidText):
            said = [piece for piece in left[:run] if isinstance(piece, Said)]
            taken = _text(said, neighbour)
            left[:run] = said
        elif run:
            return None
        else:
            calls = [piece for piece in left[:1] if isinstance(piece, Called)]
            taken = _call(calls, neighbour)
            del left[:1]
        if taken is None:
            return None
        out.extend(taken)
    return None if left else out


def _leading(left: Pieces) -> int:
    """How many texts come first."""
    return next((n for n, piece in enumerate(left) if not isinstance(piece, Said)), len(left))


def _call(calls: list[Called], made: MadeCall) -> Pieces | None:
    """Takes the call from the beginning of `calls`."""
    if not calls or calls[0].call.id != made.id:
        return None
    return [calls.pop(0)]


def _text(said: list[Said], wanted: SaidText) -> Pieces | None:
    """Takes the text from the beginning of `said`. A mark stays at the end of what it was put on."""
    out: list[Said] = []
    missing = wanted.length
    while missing and said:
        first = said.pop(0)
        if len(first.text) > missing:
            said.insert(0, Said(first.text[missing:], first.path, first.cache))
            first = Said(first.text[:missing], first.path)
        missing -= len(first.text)
        out.append(first)
    whole = "".join([one.text for one in out])
    if SaidText.of(whole) != wanted:
        return None
    cache = next((one.cache for one in reversed(out) if one.cache is not None), None)
    return [Said(whole, out[0].path, cache)]
