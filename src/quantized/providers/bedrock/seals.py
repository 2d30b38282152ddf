"""What Converse must get back unchanged and in its place: reasoning that is signed or redacted.

A seal's payload is one JSON object of the shape that chat clients know as an element of `reasoning_details`:

    {"type": "reasoning.text", "text": …, "signature": …}         a signed reasoningText
    {"type": "reasoning.encrypted", "data": …}                    a redactedContent, in base64
    {"type": "reasoning.block", "block": {…}}                     any other content block, whole

and to each `provider`, `family` and `model` (who minted it: no other family can read it), `index` (of the
block among those of its message that are not empty) and `before`: the text and the calls between the sealed
block before and this one. `places` says why.

Reasoning without a signature is nobody's to demand back: it is shown, and not sealed.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, DecodeError, Struct, UnsetType
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

MAKER = "bedrock"
KIND = "reasoning_details"

_CALLERS_OWN = frozenset(
    {
        "audio",
        "cachePoint",
        "citationsContent",
        "document",
        "guardContent",
        "image",
        "searchResult",
        "text",
        "toolAddition",
        "toolRemoval",
        "toolResult",
        "toolUse",
        "video",
    }
)
"""Members of a content block that a caller writes in other ways, each with its own checks. None is ever
sealed."""

_DEARER = frozenset({"audio", "cachePoint", "document", "image", "video"})
"""Members that cost more than the bytes that they are written with. No block that is minted has one."""


class _Payload(Struct, frozen=True, omit_defaults=True):
    type: Literal["reasoning.text", "reasoning.encrypted", "reasoning.block"]
    provider: str
    family: str
    index: Index
    model: str | None = None
    before: tuple[Neighbour, ...] = ()
    text: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    block: dict[str, Any] | UnsetType = UNSET


_decode = Decoder(_Payload).decode


class Minter:
    """Seals the blocks of one answer. To be told every block of it, in order, when it is complete; what it is
    not told counts as never said. `family` as `families.row_of` names it."""

    def __init__(self, family: str, model: str | None) -> None:
        self._family = family
        self._model = model
        self._before: list[Neighbour] = []
        self._index = 0

    def said(self, text: str) -> None:
        """A block of text, exactly as it was told to the caller."""
        if text:
            self._before.append(SaidText.of(text))

    def called(self, call_id: str) -> None:
        """A toolUse block."""
        self._before.append(MadeCall(call_id))

    def seal(self, block: Mapping[str, Any]) -> Seal:
        """Any other content block, whole and in the form of JSON (bytes in base64)."""
        before, self._before = tuple(self._before), []
        index = self._index + len(before)
        self._index = index + 1
        payload = _Payload(
            "reasoning.block", MAKER, self._family, index, self._model, before, block=dict(block)
        )
        match block:
            case {"reasoningContent": {"reasoningText": {"text": str(text), "signature": str(mark), **rest}}}:
                if not rest and _is_only(block):
                    payload = _Payload(
                        "reasoning.text", MAKER, self._family, index, self._model, before, text, mark
                    )
            case {"reasoningContent": {"redactedContent": str(data)}} if _is_only(block):
                payload = _Payload(
                    "reasoning.encrypted", MAKER, self._family, index, self._model, before, data=data
                )
        return Seal(MAKER, KIND, encode(payload))


def read(seal: Seal, family: str) -> SealedBlock | None:
    """The block of a seal of ours, for a model of `family`; None where another maker or another family sealed
    it. A caller may have handed it back: raises DamagedSeal where it is not what was minted."""
    if seal.minted_by != MAKER or seal.kind != KIND:
        return None
    try:
        payload = _decode(seal.payload)
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise DamagedSeal from error
    if any(isinstance(neighbour, SaidText) and neighbour.beside for neighbour in payload.before):
        raise DamagedSeal
    block: dict[str, Any]
    match payload:
        case _Payload(type="reasoning.text", text=str(text), signature=str(signature)):
            block = {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
        case _Payload(type="reasoning.encrypted", data=str(data)) if _is_base64(data):
            block = {"reasoningContent": {"redactedContent": data}}
        case _Payload(type="reasoning.block", block=dict(whole)) if is_sealable(whole):
            block = whole
        case _:
            raise DamagedSeal
    if payload.family != family:
        return None
    return SealedBlock(block, payload.index, payload.before, payload.model, "reasoningContent" in block)


def _is_only(block: Mapping[str, Any]) -> bool:
    """Whether the block holds one reasoning member and nothing beside it."""
    return len(block) == 1 and len(block["reasoningContent"]) == 1


def is_sealable(block: Mapping[str, Any]) -> bool:
    """Whether a content block is one that a seal may hold: nothing that callers write themselves, and with
    one member."""
    return len(block) == 1 and _CALLERS_OWN.isdisjoint(block) and all_inside(block, _is_priced)


def _is_priced(one: dict[str, Any]) -> bool:
    """Whether a part of a block costs no more than its bytes tell."""
    return _DEARER.isdisjoint(one)


def _is_base64(data: str) -> bool:
    try:
        b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
