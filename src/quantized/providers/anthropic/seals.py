"""What the Messages API must get back verbatim and in its place: thinking, and the blocks of its own tools.

A seal's payload is one JSON object of the shape that chat clients know as an element of `reasoning_details`:

    {"type": "reasoning.text", "text": …, "signature": …}         a thinking block
    {"type": "reasoning.encrypted", "data": …}                    a redacted_thinking block
    {"type": "reasoning.block", "block": {…}}                     any other block, whole
    {"type": "reasoning.place"}                                   no block, but the order of an answer's end

and to each `provider`, `model` (who minted it), `index` (of the block in its message) and `before`: the texts
and the calls between the sealed block before and this one. Surfaces join the texts of an answer into one and
part them from the thoughts, so the place has to be told with the block. What a text cites of the web goes
back with it, and so stands there as well; other citations are for the reader alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError, convert, to_builtins
from msgspec.json import Decoder, encode

from quantized.core.parts import Seal
from quantized.providers.places import (
    DamagedSeal,
    Index,
    MadeCall,
    Neighbour,
    SaidText,
    SealedBlock,
    all_inside,
)

MAKER = "anthropic"
KIND = "reasoning_details"


_Kind = Literal["reasoning.text", "reasoning.encrypted", "reasoning.block", "reasoning.place"]


class _Payload(Struct, frozen=True, omit_defaults=True):
    type: _Kind
    provider: str
    index: Index
    model: str | None = None
    before: tuple[Neighbour, ...] = ()
    text: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    block: dict[str, Any] | UnsetType = UNSET


class _Citation(Struct, frozen=True, tag_field="type", tag="web_search_result_location"):
    """Of the web, with all that a request takes of it."""

    cited_text: str
    encrypted_index: str
    url: str
    title: str | None


class _Beside(Struct, frozen=True, forbid_unknown_fields=True):
    citations: tuple[_Citation, ...]


_decode = Decoder(_Payload).decode
_decode_citation = Decoder(_Citation).decode

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})

_CALLERS_OWN = frozenset(
    {
        "container_upload",
        "document",
        "image",
        "mid_conv_system",
        "search_result",
        "text",
        "tool_result",
        "tool_use",
    }
)
"""Types of blocks that a caller writes in other ways, each with its own checks. None is ever sealed."""


class Minter:
    """Seals the blocks of one answer. To be told every block of it, in order, when it is complete."""

    def __init__(self, model: str | None) -> None:
        self._model = model
        self._before: list[Neighbour] = []
        self._called = False
        self._astray = False

    def said(self, text: str, citations: Iterable[Raw] = ()) -> None:
        """A text block."""
        if text:
            beside = _beside(citations)
            self._before.append(SaidText.of(text, beside))
            self._astray = self._astray or self._called or bool(beside)

    def called(self, call_id: str) -> None:
        """A tool_use block."""
        self._before.append(MadeCall(call_id))
        self._called = True

    def place(self, index: int) -> Seal | None:
        """To be asked for before a tool_use block and at the end of the answer: what has been said since the
        last seal, unless it is one text without citations and then perhaps calls, as it comes back anyway."""
        if not self._astray:
            return None
        return Seal(
            MAKER, KIND, encode(_Payload("reasoning.place", MAKER, index, self._model, self._taken()))
        )

    def seal(self, block: Mapping[str, Any], index: int) -> Seal:
        """Any other block: `block` is the whole of it, `index` its place in the message as the API counts."""
        before = self._taken()
        payload = _Payload("reasoning.block", MAKER, index, self._model, before, block=dict(block))
        match block:
            case {"type": "thinking", "thinking": str(text), "signature": str(signature)} if len(block) == 3:
                payload = _Payload(
                    "reasoning.text", MAKER, index, self._model, before, text=text, signature=signature
                )
            case {"type": "redacted_thinking", "data": str(data)} if len(block) == 2:
                payload = _Payload("reasoning.encrypted", MAKER, index, self._model, before, data=data)
        return Seal(MAKER, KIND, encode(payload))

    def _taken(self) -> tuple[Neighbour, ...]:
        before, self._before = tuple(self._before), []
        self._called = self._astray = False
        return before


def is_ours(seal: Seal) -> bool:
    return seal.minted_by == MAKER and seal.kind == KIND


def read(seal: Seal) -> SealedBlock:
    """The block of a seal of ours. A caller may have handed it back: raises DamagedSeal where it is not what
    was minted."""
    try:
        payload = _decode(seal.payload)
        for neighbour in payload.before:
            if isinstance(neighbour, SaidText) and neighbour.beside:
                convert(neighbour.beside, _Beside)
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise DamagedSeal from error
    block: dict[str, Any] | None
    match payload:
        case _Payload(type="reasoning.text", text=str(text), signature=str(signature)):
            block = {"type": "thinking", "thinking": text, "signature": signature}
        case _Payload(type="reasoning.encrypted", data=str(data)):
            block = {"type": "redacted_thinking", "data": data}
        case _Payload(type="reasoning.block", block=dict(whole)) if is_sealable(whole):
            block = whole
        case _Payload(type="reasoning.place") if payload.before:
            block = None
        case _:
            raise DamagedSeal
    thought = block is not None and block["type"] in _THOUGHTS
    return SealedBlock(block, payload.index, payload.before, payload.model, thought)


def is_sealable(block: Mapping[str, Any]) -> bool:
    """Whether a block may be sealed: what a caller could write as well comes back only as the caller's."""
    kind = block.get("type")
    return isinstance(kind, str) and kind not in _CALLERS_OWN and all_inside(block, _is_priced)


def _is_priced(one: dict[str, Any]) -> bool:
    """Whether a part of a block costs no more than its bytes tell: cache marks and media that are not in them
    would, and are no part of what is minted."""
    source = one.get("source")
    return one.get("cache_control") is None and (not isinstance(source, dict) or source.get("type") == "text")


def _beside(citations: Iterable[Raw]) -> dict[str, Any]:
    kept = []
    for citation in citations:
        try:
            kept.append(to_builtins(_decode_citation(citation)))
        except ValidationError:
            # Of another kind.
            continue
    return {"citations": kept} if kept else {}
