"""The content blocks of one answer, as they begin, grow and stop, to parts in the same order.

Texts that follow one another are one text part, for a new block begins wherever a citation does. Each block
of reasoning is a part with its seal, each tool call a part of its own. Blocks come one after the other; a
text needs no start, and nothing but the pieces of a block tells what it is. Blocks and pieces of kinds that
nobody knows are passed over, streamed or whole.
"""

from msgspec import Raw

from quantized.core.events import Event
from quantized.providers.answers import UNREADABLE, Unreadable
from quantized.providers.bedrock.growing import Call, Growing, Passed, Picture, Redacted, Text, Thinking, Told
from quantized.providers.bedrock.schema import (
    Block,
    Citation,
    Delta,
    Image,
    ImagePiece,
    InputPiece,
    Reasoning,
    ReasoningPiece,
    ReasoningText,
    Start,
    ToolUse,
    decode_block,
)

_SERVERS = "server_tool_use"
"""The type of a call that the server answers itself."""


class Blocks:
    """Appends to `events` what each piece tells. `begin`, `grow` and `add` raise Unreadable, having told
    nothing of the piece."""

    def __init__(self, family: str, model: str) -> None:
        self._told = Told(family, model)
        self._growing: Growing | None = None
        self._index = -1

    def begin(self, index: int, start: Start, events: list[Event]) -> None:
        """A block ends where the next one begins, should its own end be missing."""
        self._turn_to(index, events)
        self.stop(events)
        if start.tool_use is not None:
            self._growing = self._tool(start.tool_use, events)
        elif start.tool_result is not None:
            self._growing = Passed(self._told)
        elif start.image is not None:
            self._growing = Picture(self._told, start.image)

    def grow(self, index: int, delta: Delta, events: list[Event]) -> None:
        if index != self._index:
            self._turn_to(index, events)
        if self._growing is not None and self._growing.grow(delta, events):
            return
        begun = self._begun_by(delta)
        if begun is not None:
            self.stop(events)
            begun.grow(delta, events)
            self._growing = begun

    def add(self, raw: Raw, events: list[Event]) -> None:
        """A whole block."""
        try:
            block = decode_block(raw)
            self._add(block, events)
        except UNREADABLE as error:
            raise Unreadable(f"a block: {error}") from error
        self.stop(events)

    def stop(self, events: list[Event]) -> None:
        """The end of the block that has begun, if one has."""
        if self._growing is not None:
            self._growing.stop(events)
            self._growing = None

    def finish(self, events: list[Event]) -> None:
        """The end of the last part. A block that has not stopped was cut off: it is not sealed, and nothing
        in it is cited."""
        self._growing = None
        self._told.parts.end(events)

    def _turn_to(self, index: int, events: list[Event]) -> None:
        """Blocks are told in their order: one that others have followed does not go on."""
        if index < self._index:
            raise Unreadable("a piece of a block that is over")
        if index > self._index:
            self.stop(events)
            self._index = index

    def _begun_by(self, delta: Delta) -> Growing | None:
        """None for a piece of nothing, or of what nobody knows: it neither begins a block nor ends one."""
        match delta:
            case Delta(text=str()) | Delta(citation=Citation()):
                return Text(self._told)
            case Delta(reasoning_content=ReasoningPiece(redacted_content=str())):
                return Redacted(self._told)
            case Delta(reasoning_content=ReasoningPiece(text=str()) | ReasoningPiece(signature=str())):
                return Thinking(self._told)
            case Delta(tool_use=InputPiece()) | Delta(image=ImagePiece()):
                raise Unreadable("a piece of a block that has not begun")
        return None

    def _tool(self, tool: ToolUse, events: list[Event]) -> Growing:
        return Passed(self._told) if tool.type == _SERVERS else Call(self._told, tool, events)

    def _add(self, block: Block, events: list[Event]) -> None:
        match block:
            case Block(text=str(text)):
                self._growing = said = Text(self._told)
                said.say(text, events)
            case Block(citations_content=cited) if cited is not None:
                self._growing = said = Text(self._told)
                said.say("".join([piece.text for piece in cited.content]), events)
                said.cite(cited.citations)
            case Block(tool_use=ToolUse() as tool):
                self._growing = self._tool(tool, events)
            case Block(reasoning_content=Reasoning() as reasoning):
                self._think(reasoning, events)
            case Block(image=Image() as image):
                self._growing = Picture(self._told, image)

    def _think(self, reasoning: Reasoning, events: list[Event]) -> None:
        match reasoning:
            case Reasoning(redacted_content=str(content)):
                self._growing = redacted = Redacted(self._told)
                redacted.add(content)
            case Reasoning(reasoning_text=ReasoningText(text, signature)):
                self._growing = thinking = Thinking(self._told)
                thinking.think(text, signature, events)
