"""The kinds of content blocks, each between its beginning and its stop.

What a piece tells is appended to `events`; a piece that cannot be read raises Unreadable, and tells nothing.
"""

import binascii
from base64 import b64decode, b64encode

from msgspec import Raw

from quantized.core.events import Annotated, ArgumentsDelta, Event, ReasoningDelta, Sealed, TextDelta
from quantized.providers.answers import Parts, Unreadable
from quantized.providers.bedrock.schema import Citation, Delta, Image, ImageSource, ToolUse
from quantized.providers.bedrock.seals import Minter
from quantized.providers.citations import url_citation


class Told:
    """What the blocks of an answer share."""

    def __init__(self, family: str, model: str) -> None:
        self.parts = Parts()
        self.minter = Minter(family, model)


class Growing:
    """A block between its beginning and its stop."""

    def __init__(self, told: Told) -> None:
        self._told = told

    def grow(self, delta: Delta, events: list[Event]) -> bool:
        """Whether the piece is of this block. False, where it is of another kind, tells nothing."""
        raise NotImplementedError

    def stop(self, events: list[Event]) -> None:
        raise NotImplementedError


class Text(Growing):
    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self._part: int | None = None
        self._begin = 0
        self._texts: list[str] = []
        self._citations: list[Citation] = []

    def grow(self, delta: Delta, events: list[Event]) -> bool:
        if delta.text is not None:
            self.say(delta.text, events)
        elif delta.citation is not None:
            self._citations.append(delta.citation)
        else:
            return False
        return True

    def say(self, text: str, events: list[Event]) -> None:
        """A text of nothing is no text."""
        if not text:
            return
        parts = self._told.parts
        if self._part is None:
            self._part = parts.go_on("text", events)
            self._begin = parts.length
        self._texts.append(text)
        parts.length += len(text)
        events.append(TextDelta(self._part, text))

    def cite(self, citations: tuple[Citation, ...]) -> None:
        self._citations.extend(citations)

    def stop(self, events: list[Event]) -> None:
        # A citation counts for all of its block, which may not be complete when it comes.
        if self._part is not None:
            for citation in self._citations:
                noted = _annotation(citation, self._begin, self._told.parts.length)
                if noted is not None:
                    events.append(Annotated(self._part, noted))
        self._told.minter.said("".join(self._texts))


def _annotation(citation: Citation, begin: int, end: int) -> Raw | None:
    web = citation.location.web if citation.location is not None else None
    return url_citation((web and web.url) or citation.source, citation.title, begin, end)


class Thinking(Growing):
    """Readable reasoning, perhaps signed."""

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self._part: int | None = None
        self._texts: list[str] = []
        self._signature = ""

    def grow(self, delta: Delta, events: list[Event]) -> bool:
        piece = delta.reasoning_content
        if piece is None or piece.redacted_content is not None:
            return False
        self.think(piece.text, piece.signature, events)
        return True

    def think(self, text: str | None, signature: str | None, events: list[Event]) -> None:
        if text:
            self._texts.append(text)
            events.append(ReasoningDelta(self._begin(events), text))
        self._signature += signature or ""

    def stop(self, events: list[Event]) -> None:
        """Without a signature it is nobody's to demand back."""
        if self._signature:
            signed = {"text": "".join(self._texts), "signature": self._signature}
            block = {"reasoningContent": {"reasoningText": signed}}
            events.append(Sealed(self._begin(events), self._told.minter.seal(block)))

    def _begin(self, events: list[Event]) -> int:
        if self._part is None:
            self._part = self._told.parts.begin("reasoning", events)
        return self._part


class Redacted(Growing):
    """Reasoning that only its maker can read."""

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self._data = bytearray()

    def grow(self, delta: Delta, events: list[Event]) -> bool:  # noqa: ARG002 (tells nothing before its end)
        piece = delta.reasoning_content
        if piece is None or piece.redacted_content is None:
            return False
        self.add(piece.redacted_content)
        return True

    def add(self, content: str) -> None:
        self._data += _bytes(content)

    def stop(self, events: list[Event]) -> None:
        if self._data:
            block = {"reasoningContent": {"redactedContent": b64encode(self._data).decode()}}
            part = self._told.parts.go_on("reasoning", events)
            events.append(Sealed(part, self._told.minter.seal(block)))


class Call(Growing):
    def __init__(self, told: Told, tool: ToolUse, events: list[Event]) -> None:
        super().__init__(told)
        if not (tool.tool_use_id and tool.name):
            raise Unreadable("a tool call without an id or a name")
        self._id = tool.tool_use_id
        self._part = told.parts.begin("tool_call", events, tool.tool_use_id, tool.name)
        self._at_once = bytes(tool.input).decode()
        self._begun = False

    def grow(self, delta: Delta, events: list[Event]) -> bool:
        if delta.tool_use is None:
            return False
        if delta.tool_use.input:
            self._begun = True
            events.append(ArgumentsDelta(self._part, delta.tool_use.input))
        return True

    def stop(self, events: list[Event]) -> None:
        if not self._begun:
            # A body tells all of it at once, and a stream nothing where there is nothing to tell.
            nothing = self._at_once in {"", "null"}
            events.append(ArgumentsDelta(self._part, "{}" if nothing else self._at_once))
        self._told.parts.end(events)
        self._told.minter.called(self._id)


class Picture(Growing):
    """A picture is told when it is whole."""

    def __init__(self, told: Told, image: Image) -> None:
        super().__init__(told)
        self._format = image.format or "png"
        self._data = bytearray()
        if image.source is not None:
            self._draw(image.source)

    def grow(self, delta: Delta, events: list[Event]) -> bool:  # noqa: ARG002 (tells nothing before its end)
        if delta.image is None:
            return False
        self._draw(delta.image.source)
        return True

    def stop(self, events: list[Event]) -> None:
        if self._data:
            url = f"data:image/{self._format};base64,{b64encode(self._data).decode()}"
            self._told.parts.begin("image", events, url=url)
            self._told.parts.end(events)

    def _draw(self, source: ImageSource | None) -> None:
        if source is None or source.bytes is None:
            raise Unreadable("a picture without its bytes")
        self._data += _bytes(source.bytes)


class Passed(Growing):
    """What no caller can be told: the calls of the server's own tools with their results."""

    def grow(self, delta: Delta, events: list[Event]) -> bool:  # noqa: ARG002 (tells nothing)
        return delta.tool_use is not None or delta.image is not None

    def stop(self, events: list[Event]) -> None:
        """Nothing is told."""


def _bytes(told: str) -> bytes:
    try:
        return b64decode(told, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable("bytes that are no base64") from error
