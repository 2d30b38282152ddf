"""What the Messages API must get back verbatim and in its place: thinking, and the blocks of its own tools.

A seal's payload is one JSON object of the shape that chat clients know as an element of `reasoning_details`:

    {"type": "reasoning.text", "text": …, "signature": …}         a thinking block
    {"type": "reasoning.encrypted", "data": …}                    a redacted_thinking block
    {"type": "reasoning.block", "block": {…}}                     any other block, whole

and to each `provider`, `model` (who minted it), `index` (of the block in its message) and `before`: the text
and the calls between the sealed block before and this one. Surfaces join the texts of an answer into one and
part them from the thoughts, so the place has to be told with the block.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, ValidationError
from msgspec.json import Decoder, encode

from quantized.core.errors import InvalidValue
from quantized.core.parts import Seal
from quantized.providers.places import MadeCall, Neighbour, SaidText, SealedBlock

MAKER = "anthropic"
KIND = "reasoning_details"


_Kind = Literal["reasoning.text", "reasoning.encrypted", "reasoning.block"]


class _Payload(Struct, frozen=True, omit_defaults=True):
    type: _Kind
    provider: str
    index: int
    model: str | None = None
    before: tuple[Neighbour, ...] = ()
    text: str | UnsetType = UNSET
    signature: str | UnsetType = UNSET
    data: str | UnsetType = UNSET
    block: dict[str, Any] | UnsetType = UNSET


_decode = Decoder(_Payload).decode

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

    def said(self, text: str) -> None:
        """A text block."""
        if text:
            self._before.append(SaidText.of(text))

    def called(self, call_id: str) -> None:
        """A tool_use block."""
        self._before.append(MadeCall(call_id))

    def seal(self, block: Mapping[str, Any], index: int) -> Seal:
        """Any other block: `block` is the whole of it, `index` its place in the message as the API counts."""
        before, self._before = tuple(self._before), []
        payload = _Payload("reasoning.block", MAKER, index, self._model, before, block=dict(block))
        match block:
            case {"type": "thinking", "thinking": str(text), "signature": str(signature)} if len(block) == 3:
                payload = _Payload(
                    "reasoning.text", MAKER, index, self._model, before, text=text, signature=signature
                )
            case {"type": "redacted_thinking", "data": str(data)} if len(block) == 2:
                payload = _Payload("reasoning.encrypted", MAKER, index, self._model, before, data=data)
        return Seal(MAKER, KIND, encode(payload))


def is_ours(seal: Seal) -> bool:
    return seal.minted_by == MAKER and seal.kind == KIND


def read(seal: Seal) -> SealedBlock:
    """The block of a seal of ours. A caller may have handed it back: raises InvalidValue where it is not what
    was minted."""
    try:
        payload = _decode(seal.payload)
    except (ValidationError, ValueError) as error:
        raise _damaged() from error
    block: dict[str, Any]
    match payload:
        case _Payload(type="reasoning.text", text=str(text), signature=str(signature)):
            block = {"type": "thinking", "thinking": text, "signature": signature}
        case _Payload(type="reasoning.encrypted", data=str(data)):
            block = {"type": "redacted_thinking", "data": data}
        case _Payload(type="reasoning.block", block=dict(whole)) if is_sealable(whole):
            block = whole
        case _:
            raise _damaged()
    thought = payload.type != "reasoning.block"
    return SealedBlock(block, payload.index, payload.before, payload.model, thought)


def is_sealable(block: Mapping[str, Any]) -> bool:
    """Whether a block may be sealed: what a caller could write as well comes back only as the caller's."""
    kind = block.get("type")
    return isinstance(kind, str) and kind not in _CALLERS_OWN and "cache_control" not in block


def _damaged() -> InvalidValue:
    return InvalidValue(
        "Invalid value for 'messages[].reasoning_details': a block is not as the provider 'anthropic' wrote "
        "it. Send the blocks of an answer back unchanged, or none of them.",
        param="messages[].reasoning_details",
    )
