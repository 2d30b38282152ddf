"""The parts of one answer while their deltas arrive.

The language marks neither where a part begins nor where it ends. A part begins with its first piece, and
since a piece of any part may still come (a signature after the text it belongs to), all end together.
"""

from hashlib import blake2s

from msgspec import DecodeError, Raw, Struct
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
from quantized.providers.openai_chat import beside
from quantized.providers.openai_chat.beside import NOTHING
from quantized.providers.openai_chat.schema import (
    AudioPiece,
    Delta,
    FunctionDelta,
    ImagePiece,
    ToolCallDelta,
)
from quantized.wire.data_url import in_base64, is_data_url

DETAILS = "reasoning_details"
"""The kind of a seal whose payload is an array of reasoning details."""

_SILENCE = AudioPiece()


class Unreadable(Exception):
    """A piece of the message is of a kind that we do not know."""


class _Slot:
    """One tool call. It begins when its name is whole; arguments that came before wait in `held`. `told` is
    the id that its server goes by, `id` the one that we tell, once it has begun. `beside` is what the server
    put beside it."""

    __slots__ = ("beside", "held", "id", "name", "part", "told")

    def __init__(self, told: str | None) -> None:
        self.told = told
        self.id = ""
        self.name = ""
        self.part: int | None = None
        self.held = ""
        self.beside: dict[str, None] = {}

    def call(self, name: str) -> None:
        """Some servers say the name again with each piece of the arguments, some say it in pieces."""
        if name.startswith(self.name):
            self.name = name
        else:
            self.name += name


class _TypedText(Struct, frozen=True):
    """An element of a `content` array."""

    type: str
    text: str | None = None
    thinking: str | list["_TypedText"] | None = None


class Assembly:
    """Deltas to events. `faithful` is false where the last delta said something that a caller must not see
    as it came: another spelling, an index or an id that is missing or wrong, something that is held back.
    `whole`: the one delta is all of the message."""

    def __init__(self, provider: str, *, whole: bool = False) -> None:
        self._provider = provider
        self._whole = whole
        self._stream_id = ""
        self._next = 0
        self._open: dict[PartKind, int] = {}
        self._calls: list[_Slot] = []
        self._by_index: dict[int, _Slot] = {}
        self._out_of_order = False
        self._beside: dict[str, None] = {}
        self._details = b"[]"
        self._blocks = 0
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
        if delta.reasoning_details and (details := self._objects(delta.reasoning_details)):
            payload = self._details = b"[" + b",".join(details) + b"]"
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
        if delta.extra_content != NOTHING:
            self.faithful = False
            if told := beside.told(delta.extra_content):
                # A mark on every piece is one to remember; all of them are told together, at the end.
                self._beside[told] = None

    @property
    def anything(self) -> bool:
        """A part has begun, or waits to."""
        return self._next > 0 or bool(self._calls)

    @property
    def calls(self) -> bool:
        """A tool is called."""
        return bool(self._calls)

    @property
    def nameless(self) -> bool:
        """There is a call that nobody has named."""
        return any(not slot.name for slot in self._calls)

    def finish(self, *, well: bool) -> list[Event]:
        """The end of every part that is still open. What stood beside a message that did not end `well` is
        left untold: nobody can know whether that was all."""
        events: list[Event] = []
        if self._calls:
            self._begin_calls(self._calls[-1], events)
        for told in self._beside if well else ():
            self._seal(None, told, events)
        calls = (slot.part for slot in self._calls if slot.part is not None)
        events += [PartFinished(index) for index in sorted((*self._open.values(), *calls))]
        self._open.clear()
        self._calls.clear()
        return events

    def _objects(self, pieces: list[Raw]) -> list[bytes]:
        """Nothing but an object can come back, so nothing else is told."""
        objects = [told for told in map(bytes, pieces) if told.startswith(b"{")]
        self.faithful = self.faithful and len(objects) == len(pieces)
        return objects

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
        for annotation in self._objects(delta.annotations or []):
            events.append(Annotated(self._part("text", events), Raw(annotation)))
        for image in delta.images or ():
            self._image(image, events)
        if delta.audio is not None:
            self._audio(delta.audio, events)

    def _image(self, image: ImagePiece, events: list[Event]) -> None:
        start = PartStarted(self._next, "image", url=_address(image.image_url.url))
        events.append(PartFinished(self._start(start, events)))

    def _audio(self, audio: AudioPiece, events: list[Event]) -> None:
        if audio == _SILENCE:
            return
        index = self._part("audio", events)
        delta = AudioDelta(index, audio.id, audio.data or "", audio.transcript or "", audio.expires_at)
        events.append(delta)

    def _call(self, call: ToolCallDelta, events: list[Event]) -> None:
        function = call.function or FunctionDelta()
        slot = self._new_slot(call) if self._whole else self._slot(call, function)
        arguments = self._arguments(function)
        if call.extra_content != NOTHING:
            self._put_beside(slot, call.extra_content, events)
        if slot.part is None:
            # All that comes until there are arguments belongs to its name, and what waits is told anew.
            slot.call(function.name or "")
            slot.held += arguments
            self.faithful = False
            if slot.name and slot.held:
                self._begin_calls(slot, events)
            return
        if function.name or call.id or self._out_of_order:
            # Said again: a caller would add it to the first.
            self.faithful = False
        if arguments:
            events.append(ArgumentsDelta(slot.part, arguments))

    def _slot(self, call: ToolCallDelta, function: FunctionDelta) -> _Slot:
        """The call that a delta belongs to.

        By index, as the language has it. But servers leave the index out, or number every call 0: then
        another id, or a name where there is none to go by, means another call. And some give two calls one
        id: then the index tells them apart.
        """
        at = None if call.index is None else self._by_index.get(call.index)
        told = call.id or None
        known = at if at is not None and at.told == told else self._called(told)
        if call.index is None:
            self.faithful = False
            if known is not None:
                return known
            if self._calls and told is None and not function.name:
                return self._calls[-1]
            return self._new_slot(call)
        if known is not None and (at is not None or not function.name):
            slot = known
        elif at is not None and not (told and function.name and at.told):
            slot = at
        else:
            slot = self._by_index[call.index] = self._new_slot(call)
        if not 0 <= call.index < len(self._calls) or self._calls[call.index] is not slot:
            self.faithful = False
        return slot

    def _called(self, told: str | None) -> _Slot | None:
        return next((slot for slot in self._calls if told and slot.told == told), None)

    def _new_slot(self, call: ToolCallDelta) -> _Slot:
        slot = _Slot(call.id or None)
        self._calls.append(slot)
        return slot

    def _begin_calls(self, last: _Slot, events: list[Event]) -> None:
        """`last` and those that came before it."""
        for slot in self._calls[: self._calls.index(last) + 1]:
            if slot.part is None and slot.name:
                self._begin_call(slot, events)
            self._out_of_order |= slot.part is None

    def _begin_call(self, slot: _Slot, events: list[Event]) -> None:
        call_id = slot.told
        if call_id is None or self._called(call_id) is not slot:
            call_id = _call_id(self._stream_id, self._calls.index(slot))
        slot.id = call_id
        for told in slot.beside:
            # Before the call: it is of the thought that led to it.
            self._seal(call_id, told, events)
        start = PartStarted(self._next, "tool_call", id=call_id, name=slot.name)
        slot.part = self._start(start, events)
        if slot.held:
            events.append(ArgumentsDelta(slot.part, slot.held))

    def _put_beside(self, slot: _Slot, extra: Raw, events: list[Event]) -> None:
        self.faithful = False
        told = beside.told(extra)
        if told is None or told in slot.beside:
            return
        slot.beside[told] = None
        if slot.part is not None:
            self._seal(slot.id, told, events)

    def _seal(self, call_id: str | None, told: str, events: list[Event]) -> None:
        index = self._part("reasoning", events)
        self._blocks = max(self._blocks, beside.index_behind(self._details))
        self._details = b"[]"
        events.append(Sealed(index, beside.seal(self._provider, self._blocks, call_id, told)))
        self._blocks += 1

    def _arguments(self, function: FunctionDelta) -> str:
        arguments = function.arguments
        if isinstance(arguments, dict):
            self.faithful = False
            return encode(arguments).decode()
        return arguments or ""


def _address(url: str) -> str:
    """Where an image is, said so that it can come back."""
    if is_data_url(url):
        return in_base64(url)
    if url.lower().startswith(("https://", "http://")):
        return url
    raise Unreadable("an image at an address of another kind")


def _call_id(stream_id: str, position: int) -> str:
    """An id for a call that came without one: the same for the same answer, another in another."""
    return "call_" + blake2s(f"{stream_id}/{position}".encode(), digest_size=12).hexdigest()


def _thinking(thinking: str | list[_TypedText]) -> str:
    if isinstance(thinking, str):
        return thinking
    return "".join(piece.text or "" for piece in thinking)
