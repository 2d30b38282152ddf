"""The content blocks of one answer, as they begin, grow and stop, to parts in the same order.

Text blocks that follow one another are one text part, for the API begins a new block wherever a citation
begins or ends. Each thinking block is a reasoning part with its seal, each tool call a part of its own. What
only the API can read is a seal on the reasoning part just before, or on one without words; so is the place of
texts that have citations, or come after calls.
"""

from typing import Any

from msgspec import Raw
from msgspec.json import decode

from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    Event,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    TextDelta,
)
from quantized.providers.answers import UNREADABLE, Parts, Unreadable
from quantized.providers.anthropic.citations import annotation
from quantized.providers.anthropic.schema import Block, Delta, decode_block
from quantized.providers.anthropic.seals import Minter, is_sealable


class _Parts(Parts):
    def __init__(self, model: str | None) -> None:
        super().__init__()
        self.minter = Minter(model)


class _Growing:
    """A block between its beginning and its stop. `whole` turns false where a piece came that nobody knows
    how to add: such a block cannot go back as it was."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self.whole = True

    def grow(self, delta: Delta, events: list[Event]) -> None:  # noqa: ARG002 (for those that know how)
        self.whole = False

    def stop(self, events: list[Event]) -> None:
        raise NotImplementedError


class _Text(_Growing):
    def __init__(self, parts: _Parts, block: Block, events: list[Event]) -> None:
        super().__init__(parts)
        self._part = parts.go_on("text", events)
        self._begin = parts.length
        self._texts: list[str] = []
        self._citations = list(block.citations or ())
        self._say(block.text, events)

    def grow(self, delta: Delta, events: list[Event]) -> None:
        if delta.type == "citations_delta":
            self._citations.append(delta.citation)
        else:
            self._say(delta.text, events)

    def stop(self, events: list[Event]) -> None:
        # A citation may come before the text that it supports, and counts for all of the block.
        for citation in self._citations:
            noted = annotation(citation, self._begin, self._parts.length)
            if noted is not None:
                events.append(Annotated(self._part, noted))
        self._parts.minter.said("".join(self._texts), self._citations)

    def _say(self, text: str | None, events: list[Event]) -> None:
        if text:
            self._texts.append(text)
            self._parts.length += len(text)
            events.append(TextDelta(self._part, text))


class _Thinking(_Growing):
    def __init__(self, parts: _Parts, block: Block, raw: Raw, index: int, events: list[Event]) -> None:
        super().__init__(parts)
        self._part = parts.begin("reasoning", events)
        self._index = index
        self._block: dict[str, Any] = decode(raw)
        self._texts: list[str] = []
        self._signature = block.signature or ""
        self._think(block.thinking, events)

    def grow(self, delta: Delta, events: list[Event]) -> None:
        match delta.type:
            case "thinking_delta":
                self._think(delta.thinking, events)
            case "signature_delta":
                self._signature = delta.signature or self._signature
            case _:
                super().grow(delta, events)

    def stop(self, events: list[Event]) -> None:
        """Without its signature a thought cannot go back: the API would refuse it."""
        if self.whole and self._signature:
            block = {**self._block, "thinking": "".join(self._texts), "signature": self._signature}
            events.append(Sealed(self._part, self._parts.minter.seal(block, self._index)))

    def _think(self, text: str | None, events: list[Event]) -> None:
        if text:
            self._texts.append(text)
            events.append(ReasoningDelta(self._part, text))


class _Call(_Growing):
    def __init__(self, parts: _Parts, block: Block, events: list[Event]) -> None:
        super().__init__(parts)
        self._id = block.id or ""
        self._part = parts.begin("tool_call", events, self._id, block.name)
        self._at_once = bytes(block.input).decode()
        self._begun = False

    def grow(self, delta: Delta, events: list[Event]) -> None:
        if delta.partial_json:
            self._begun = True
            events.append(ArgumentsDelta(self._part, delta.partial_json))

    def stop(self, events: list[Event]) -> None:
        if not self._begun:
            # A body tells all of it at once, and a stream nothing where there is nothing to tell.
            nothing = self._at_once in {"", "null"}
            events.append(ArgumentsDelta(self._part, "{}" if nothing else self._at_once))
        self._parts.end(events)
        self._parts.minter.called(self._id)


class _Opaque(_Growing):
    """A block that only the API can read. What a server tool was given grows as that of a call."""

    def __init__(self, parts: _Parts, raw: Raw, index: int) -> None:
        super().__init__(parts)
        self._index = index
        self._block: dict[str, Any] = decode(raw)
        self._input = ""

    def grow(self, delta: Delta, events: list[Event]) -> None:
        if delta.type == "input_json_delta":
            self._input += delta.partial_json or ""
        else:
            super().grow(delta, events)

    def stop(self, events: list[Event]) -> None:
        block = self._block
        if self._input:
            try:
                block = {**block, "input": decode(self._input)}
            except UNREADABLE:
                return
        if self.whole and len(block) > 1 and is_sealable(block):
            part = self._parts.go_on("reasoning", events)
            events.append(Sealed(part, self._parts.minter.seal(block, self._index)))


class Blocks:
    """Appends to `events` what each piece tells. `begin` and `grow` raise Unreadable, having told nothing."""

    def __init__(self, model: str | None) -> None:
        self._parts = _Parts(model)
        self._growing: _Growing | None = None
        self._index = -1

    def begin(self, index: int, raw: Raw, events: list[Event]) -> None:
        """A block ends where the next one begins, should its own end be missing."""
        try:
            block = decode_block(raw)
        except UNREADABLE as error:
            raise Unreadable(f"a block: {error}") from error
        if block.type == "tool_use" and not (block.id and block.name):
            raise Unreadable("a tool call without an id or a name")
        self.stop(events)
        self._growing = self._new(block, raw, index, events)
        self._index = index

    def grow(self, index: int, delta: Delta, events: list[Event]) -> None:
        if self._growing is None or index != self._index:
            raise Unreadable("a piece of a block that is not there")
        self._growing.grow(delta, events)

    def stop(self, events: list[Event]) -> None:
        """The end of the block that has begun, if one has."""
        if self._growing is not None:
            self._growing.stop(events)
            self._growing = None

    def complete(self, events: list[Event]) -> None:
        """The end of the last block, there being no other one."""
        self.stop(events)
        self._place(events)

    def refuse(self, explanation: str, events: list[Event]) -> None:
        """Why the answer was refused."""
        events.append(RefusalDelta(self._parts.begin("refusal", events), explanation))

    def finish(self, events: list[Event]) -> None:
        """The end of the last part. A block that has not stopped was cut off: it is not sealed, and nothing
        in it is cited."""
        self._growing = None
        self._parts.end(events)

    def _place(self, events: list[Event]) -> None:
        """Seals the order of what came last, should it come back in another one."""
        seal = self._parts.minter.place(self._index + 1)
        if seal is not None:
            events.append(Sealed(self._parts.go_on("reasoning", events), seal))

    def _new(self, block: Block, raw: Raw, index: int, events: list[Event]) -> _Growing:
        match block.type:
            case "text":
                return _Text(self._parts, block, events)
            case "thinking":
                return _Thinking(self._parts, block, raw, index, events)
            case "tool_use":
                self._place(events)
                return _Call(self._parts, block, events)
            case _:
                return _Opaque(self._parts, raw, index)
