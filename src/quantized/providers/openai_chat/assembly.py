"""The parts of one answer while their deltas arrive.

The language marks neither where a part begins nor where it ends. A part begins with its first piece, and
since a piece of any part may still come (a signature after the text it belongs to), all end together.
"""

from hashlib import blake2s

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    AudioDelta,
    Event,
    PartFinished,
    PartKind,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    TextDelta,
)
from quantized.core.parts import Seal
from quantized.providers.openai_chat.schema import (
    AudioPiece,
    Delta,
    FunctionDelta,
    ImagePiece,
    ToolCallDelta,
)

DETAILS = "reasoning_details"
"""The kind of a seal whose payload is an array of reasoning details."""


class Unreadable(Exception):
    """A piece of the message is of a kind that we do not know."""


class _Slot:
    """One tool call. It begins when its name is known; arguments that came before wait in `held`."""

    __slots__ = ("held", "id", "part")

    def __init__(self, call_id: str | None) -> None:
        self.id = call_id
        self.part: int | None = None
        self.held = ""


class _TypedText(Struct, frozen=True):
    """An element of a `content` array."""

    type: str
    text: str | None = None
    thinking: str | list["_TypedText"] | None = None


class Assembly:
    """Deltas to events. `faithful` is false where the last delta said something that a caller must not see
    as it came: another spelling, an index or an id that is missing or wrong."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._stream_id = ""
        self._next = 0
        self._open: dict[PartKind, int] = {}
        self._calls: list[_Slot] = []
        self._by_index: dict[int, _Slot] = {}
        self._out_of_order = False
        self.faithful = True

    def begin(self, stream_id: str) -> None:
        """`stream_id` seeds the ids of calls that come without one."""
        self._stream_id = stream_id

    @property
    def text_part(self) -> int | None:
        """The index of the text part, once there is one."""
        return self._open.get("text")

    def add(self, delta: Delta, events: list[Event]) -> None:
        """Appends to `events` what the delta tells. Raises Unreadable where a rest of it tells us nothing."""
        self.faithful = True
        thought = delta.reasoning
        if thought is None and delta.reasoning_content is not None:
            thought = delta.reasoning_content
            self.faithful = False
        if thought:
            events.append(ReasoningDelta(self._part("reasoning", events), thought))
        if delta.reasoning_details:
            payload = b"[" + b",".join(map(bytes, delta.reasoning_details)) + b"]"
            index = self._part("reasoning", events)
            events.append(Sealed(index, Seal(self._provider, DETAILS, payload)))
        if delta.content:
            self._content(delta.content, events)
        if delta.refusal:
            events.append(RefusalDelta(self._part("refusal", events), delta.refusal))
        for call in delta.tool_calls or ():
            self._call(call, events)
        if delta.function_call is not None:
            # The language's older way to call one function.
            self._call(ToolCallDelta(function=delta.function_call), events)
        if delta.annotations or delta.images or delta.audio is not None:
            # Callers add up what they read, and these they can add up only as we number and spread them.
            self.faithful = False
            self._attached(delta, events)

    @property
    def nameless(self) -> bool:
        """There is a call that nobody has named."""
        return any(slot.part is None for slot in self._calls)

    def finish(self) -> list[Event]:
        """The end of every part that is still open."""
        calls = (slot.part for slot in self._calls if slot.part is not None)
        events: list[Event] = [PartFinished(index) for index in sorted((*self._open.values(), *calls))]
        self._open.clear()
        self._calls.clear()
        return events

    def _start(self, start: PartStarted, events: list[Event]) -> int:
        events.append(start)
        self._next += 1
        return start.index

    def _part(self, kind: PartKind, events: list[Event]) -> int:
        index = self._open.get(kind)
        if index is None:
            index = self._open[kind] = self._start(PartStarted(self._next, kind), events)
        return index

    def _content(self, content: str | list[object], events: list[Event]) -> None:
        if isinstance(content, str):
            events.append(TextDelta(self._part("text", events), content))
            return
        self.faithful = False
        try:
            pieces = decode(encode(content), type=list[_TypedText])
        except DecodeError as error:
            raise Unreadable(f"content: {error}") from error
        for piece in pieces:
            if piece.thinking is not None:
                text = _thinking(piece.thinking)
                events.append(ReasoningDelta(self._part("reasoning", events), text))
            elif piece.text is not None:
                events.append(TextDelta(self._part("text", events), piece.text))
            else:
                raise Unreadable(f"content of type {piece.type[:64]!r}")

    def _attached(self, delta: Delta, events: list[Event]) -> None:
        for annotation in delta.annotations or ():
            events.append(Annotated(self._part("text", events), annotation))
        for image in delta.images or ():
            self._image(image, events)
        if delta.audio is not None:
            self._audio(delta.audio, events)

    def _image(self, image: ImagePiece, events: list[Event]) -> None:
        start = PartStarted(self._next, "image", url=image.image_url.url)
        events.append(PartFinished(self._start(start, events)))

    def _audio(self, audio: AudioPiece, events: list[Event]) -> None:
        index = self._part("audio", events)
        delta = AudioDelta(index, audio.id, audio.data or "", audio.transcript or "", audio.expires_at)
        events.append(delta)

    def _call(self, call: ToolCallDelta, events: list[Event]) -> None:
        function = call.function or FunctionDelta()
        slot = self._slot(call, function)
        arguments = self._arguments(function)
        if slot.part is None and not function.name:
            slot.held += arguments
            self._out_of_order = True
            self.faithful = False
            return
        if slot.part is None:
            slot.part = self._begin_call(slot, function.name or "", events)
            arguments = slot.held + arguments
        elif function.name or call.id:
            # Said again: a caller would add it to the first.
            self.faithful = False
        if self._out_of_order:
            self.faithful = False
        if arguments:
            events.append(ArgumentsDelta(slot.part, arguments))

    def _slot(self, call: ToolCallDelta, function: FunctionDelta) -> _Slot:
        """The call that a delta belongs to.

        By index, as the language has it. But servers leave the index out, or number every call 0: then
        another id, or a name where there is none to go by, means another call.
        """
        known = next((slot for slot in self._calls if call.id and slot.id == call.id), None)
        if call.index is None:
            self.faithful = False
            if known is not None:
                return known
            if self._calls and not call.id and not function.name:
                return self._calls[-1]
            return self._new_slot(call)
        slot = known or self._by_index.get(call.index)
        if slot is not None and known is None and call.id and function.name and slot.id is not None:
            slot = None
        if slot is None:
            slot = self._new_slot(call)
            self._by_index[call.index] = slot
        if not 0 <= call.index < len(self._calls) or self._calls[call.index] is not slot:
            self.faithful = False
        return slot

    def _new_slot(self, call: ToolCallDelta) -> _Slot:
        slot = _Slot(call.id or None)
        self._calls.append(slot)
        return slot

    def _begin_call(self, slot: _Slot, name: str, events: list[Event]) -> int:
        call_id = slot.id
        if call_id is None:
            self.faithful = False
            call_id = _call_id(self._stream_id, self._calls.index(slot))
        return self._start(PartStarted(self._next, "tool_call", id=call_id, name=name), events)

    def _arguments(self, function: FunctionDelta) -> str:
        arguments = function.arguments
        if isinstance(arguments, dict):
            self.faithful = False
            return encode(arguments).decode()
        return arguments or ""


def _call_id(stream_id: str, position: int) -> str:
    """An id for a call that came without one: the same for the same answer, another in another."""
    return "call_" + blake2s(f"{stream_id}/{position}".encode(), digest_size=12).hexdigest()


def _thinking(thinking: str | list[_TypedText]) -> str:
    if isinstance(thinking, str):
        return thinking
    return "".join(piece.text or "" for piece in thinking)
