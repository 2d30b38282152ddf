"""What a model says, event by event, to the items of `output`.

An item begins with its part, in the order in which the model began them, and ends with it. But thinking and
talking end as soon as something else begins, so that a client sees that they are over; should they go on
after all, they go on in a new item. So an answer that goes back and forth is told in the order in which it
came. Only text that may still get its citations waits for its provider to end it.

An item that ended stays open until the next event shows that it was not the end of the answer: the last item
of an answer that did not end well is incomplete, and so is every call that is still open then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import DecodeError, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from quantized.core import events, parts
from quantized.core.events import Event
from quantized.core.fold import Answer
from quantized.core.parts import AnyPart, Reasoning, Seal
from quantized.core.turns import MadeCall, fingerprint
from quantized.surfaces.responses.drafts import (
    CallDraft,
    Draft,
    HiddenDraft,
    ImageDraft,
    MessageDraft,
    ReasoningDraft,
    RefusalDraft,
    SearchDraft,
    SummaryDraft,
)
from quantized.surfaces.responses.events import StreamEvent

_DETAILS = "reasoning_details"
"""The kind of a seal whose payload is a block, or an array of blocks, of the field of that name."""
_Said = (
    events.PartStarted
    | events.TextDelta
    | events.ReasoningDelta
    | events.RefusalDelta
    | events.ArgumentsDelta
    | events.AudioDelta
    | events.Annotated
    | events.Sealed
)


class _Part:
    """A part of the answer. `draft` is the item that tells it now, None until it is known how to."""

    __slots__ = ("draft", "origin", "seals", "start", "summarised")

    def __init__(self, start: events.PartStarted) -> None:
        self.start = start
        self.seals: list[Seal] = []
        self.summarised = False
        self.draft: Draft | None = None
        self.origin: ReasoningDraft | None = None


class Builder:
    """`suffix` makes the ids of the items: the same for the same response, wherever it is told. `searches`:
    the model was asked to search, and cites what it finds."""

    def __init__(self, suffix: str, *, shows_reasoning: bool, searches: bool) -> None:
        self._suffix = suffix
        self._searches = searches
        self._shows_reasoning = shows_reasoning
        self._parts: dict[int, _Part] = {}
        self._finished: list[int] = []
        self._current: Draft | None = None
        self._held: tuple[int, str] | None = None
        self._shown = 0
        self.drafts: list[Draft] = []
        """All items in their order, those that the caller does not see among them."""

    def feed(self, event: Event) -> list[StreamEvent]:
        """What this event adds. Raises ValueError for a terminal one: that is for `close`."""
        out: list[StreamEvent] = []
        if self._held is not None:
            self._release(event, out)
        match event:
            case events.PartFinished(index):
                if self._parts[index].draft is None:
                    self._begin(self._parts[index], out)
                self._finished.append(index)
            case events.LogprobsDelta() | events.Started():
                pass
            case events.Finished() | events.Failed():
                raise ValueError("the terminal event is told by close")
            case _:
                self._end_finished(out)
                self._take(event, out)
        return out

    def close(self, *, well: bool, searches: int) -> list[StreamEvent]:
        """The ends of what is open, and the searches that were made."""
        out: list[StreamEvent] = []
        if self._held is not None:
            self._release(None, out)
        for draft in self.drafts:
            if draft.status == "in_progress":
                # Several calls may have been under way, and only their provider could say that one is whole.
                cut = draft is self.drafts[-1] or isinstance(draft, CallDraft)
                out.extend(draft.end("incomplete" if cut and not well else "completed"))
        cited = [
            citation.url
            for draft in self.drafts
            if isinstance(draft, MessageDraft)
            for citation in draft.citations
        ]
        if searches or cited:
            search = SearchDraft(self._suffix, self._shown, cited)
            self._shown += 1
            self.drafts.append(search)
            out.extend((*search.begin(), *search.end("completed")))
        return out

    def _take(self, event: _Said, out: list[StreamEvent]) -> None:
        match event:
            case events.PartStarted(index, kind):
                part = self._parts[index] = _Part(event)
                if kind != "reasoning":
                    self._begin(part, out)
            case events.ReasoningDelta(index, text) if self._parts[index].draft is None:
                # The block that says what kind of text this is comes right behind it, if it comes.
                self._held = (index, text)
            case events.Sealed(index, seal):
                part = self._parts[index]
                part.seals.append(seal)
                if part.draft is None:
                    part.summarised = _is_summary(seal)
                    self._begin(part, out)
            case events.Annotated(index, annotation):
                draft = self._open_draft(self._parts[index], out)
                if isinstance(draft, MessageDraft):
                    out.extend(draft.annotate(annotation))
            case events.AudioDelta(index, transcript=transcript):
                if transcript:
                    self._say(self._parts[index], transcript, out)
            case _:
                self._say(self._parts[event.index], event.text, out)

    def _release(self, event: Event | None, out: list[StreamEvent]) -> None:
        """Tells the first words of a thought, now that what follows them is there."""
        if self._held is None:
            return
        index, text = self._held
        self._held = None
        part = self._parts[index]
        if isinstance(event, events.Sealed) and event.index == index:
            part.summarised = _is_summary(event.seal)
        self._begin(part, out)
        self._say(part, text, out)

    def _begin(self, part: _Part, out: list[StreamEvent]) -> None:
        if part.start.kind == "reasoning":
            # Thoughts go back in the order in which they began, also those that have had no words yet.
            for earlier in [one for one in self._parts.values() if one.start.index < part.start.index]:
                if earlier.draft is None:
                    self._begin(earlier, out)
        draft = part.draft = self._draft(part)
        self._shown += draft.shown
        # Thinking takes over with its first words: it may have none, and then interrupts nothing.
        if self._current is None or part.start.kind != "reasoning":
            self._turn_to(draft, out)
        self.drafts.append(draft)
        out.extend(draft.begin())

    def _draft(self, part: _Part) -> Draft:
        start, suffix, index = part.start, self._suffix, self._shown
        match start.kind:
            case "text" | "audio":
                return MessageDraft(suffix, index, ends_early=not self._searches)
            case "refusal":
                return RefusalDraft(suffix, index)
            case "tool_call":
                return CallDraft(suffix, index, start.id or "", start.name or "")
            case "image":
                return ImageDraft(suffix, index, start.url or "")
            case "reasoning":
                shown = SummaryDraft if part.summarised else ReasoningDraft
                kind = shown if self._shows_reasoning else HiddenDraft
                draft = kind(suffix, index, part.seals, part.origin)
                part.origin = part.origin or draft
                return draft

    def _say(self, part: _Part, text: str, out: list[StreamEvent]) -> None:
        draft = self._open_draft(part, out)
        self._turn_to(draft, out)
        out.extend(draft.grow(text))

    def _open_draft(self, part: _Part, out: list[StreamEvent]) -> Draft:
        """The item that tells a part which has begun, or one that goes on where it ended."""
        if part.draft is None or part.draft.status != "in_progress":
            self._begin(part, out)
        if part.draft is None:
            raise AssertionError("a part that has begun has an item")
        return part.draft

    def _turn_to(self, draft: Draft, out: list[StreamEvent]) -> None:
        before, self._current = self._current, draft
        if before is None or before is draft:
            return
        if before.ends_early and before.status == "in_progress":
            out.extend(before.end("completed"))

    def _end_finished(self, out: list[StreamEvent]) -> None:
        for index in self._finished:
            draft = self._parts[index].draft
            if draft is not None and draft.status == "in_progress":
                out.extend(draft.end("completed"))
        self._finished.clear()


class Output(Struct, frozen=True):
    """What a whole answer came to for a later turn: `thoughts` and `calls` as `core.turns.Turn` has them. The
    last call is preceded by all thoughts, since some models seal theirs only after they have called; one that
    broke off by none, but its id is taken all the same."""

    parts: tuple[AnyPart, ...]
    thoughts: tuple[Reasoning, ...]
    calls: Mapping[str, MadeCall]


def output_of(drafts: Sequence[Draft]) -> Output:
    said: list[AnyPart] = []
    thoughts: list[Reasoning] = []
    calls: dict[str, MadeCall] = {}
    last_call = None
    for draft in drafts:
        told = draft.parts()
        said += told
        thoughts += [part for part in told if isinstance(part, Reasoning)]
        if isinstance(draft, CallDraft):
            calls[draft.call_id] = MadeCall(fingerprint(draft.call()), len(thoughts) if told else 0)
            last_call = draft.call_id if told else last_call
    if last_call is not None:
        calls[last_call] = replace(calls[last_call], thoughts=len(thoughts))
    return Output(tuple(said), tuple(thoughts) if calls else (), calls)


def replay(answer: Answer) -> Iterator[Event]:
    """The events of a whole answer, without its end."""
    for index, part in enumerate(answer.parts):
        yield from _replay_part(index, part)
        yield events.PartFinished(index)


def _replay_part(index: int, part: parts.OutputPart) -> Iterable[Event]:
    match part:
        case parts.OutputText(text, annotations):
            yield events.PartStarted(index, "text")
            if text:
                yield events.TextDelta(index, text)
            yield from [events.Annotated(index, annotation) for annotation in annotations]
        case parts.ToolCall(call_id, name, arguments):
            yield events.PartStarted(index, "tool_call", id=call_id, name=name)
            if arguments:
                yield events.ArgumentsDelta(index, arguments)
        case parts.Reasoning(thought, seals):
            yield events.PartStarted(index, "reasoning")
            if thought:
                yield events.ReasoningDelta(index, thought)
            yield from [events.Sealed(index, seal) for seal in seals]
        case parts.Refusal(text):
            yield events.PartStarted(index, "refusal")
            if text:
                yield events.RefusalDelta(index, text)
        case parts.OutputImage(url):
            yield events.PartStarted(index, "image", url=url)
        case parts.OutputAudio(audio_id, data, transcript, expires_at):
            yield events.PartStarted(index, "audio")
            yield events.AudioDelta(index, audio_id, data, transcript, expires_at)


class _Block(Struct, frozen=True):
    type: str = ""


_BLOCKS: Decoder[list[_Block] | _Block] = Decoder(list[_Block] | _Block)


def _is_summary(seal: Seal) -> bool:
    """Whether the maker says that the text beside this seal is a summary of its thinking."""
    if seal.kind != _DETAILS:
        return False
    try:
        blocks = _BLOCKS.decode(seal.payload)
    except DecodeError:
        return False
    block = blocks[0] if isinstance(blocks, list) and blocks else blocks
    return isinstance(block, _Block) and block.type == "reasoning.summary"
