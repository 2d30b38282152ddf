"""Events to a whole answer. A non-streaming answer is nothing but this."""

from collections.abc import Iterable

from msgspec import Raw, Struct

from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    AudioDelta,
    Event,
    Failed,
    Finished,
    FinishReason,
    LogprobsDelta,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    Started,
    TextDelta,
)
from quantized.core.parts import (
    OutputAudio,
    OutputImage,
    OutputPart,
    OutputText,
    Reasoning,
    Refusal,
    Seal,
    ToolCall,
)
from quantized.core.usage import Usage


class Answer(Struct, frozen=True):
    """A whole answer: its parts in the order in which the model began them."""

    id: str
    model: str
    created: int
    fingerprint: str | None
    parts: tuple[OutputPart, ...]
    finish: FinishReason
    usage: Usage | None
    cost: int | None
    logprobs_content: tuple[Raw, ...] = ()
    logprobs_refusal: tuple[Raw, ...] = ()


class _Draft:
    """A part while its deltas arrive."""

    __slots__ = ("annotations", "audio", "seals", "start", "texts")

    def __init__(self, start: PartStarted) -> None:
        self.start = start
        self.texts: list[str] = []
        self.annotations: list[Raw] = []
        self.seals: list[Seal] = []
        self.audio: list[AudioDelta] = []

    def finish(self) -> OutputPart:
        text = "".join(self.texts)
        match self.start.kind:
            case "text":
                return OutputText(text, tuple(self.annotations))
            case "reasoning":
                return Reasoning(text or None, tuple(self.seals))
            case "refusal":
                return Refusal(text)
            case "tool_call":
                return ToolCall(self.start.id or "", self.start.name or "", text)
            case "image":
                return OutputImage(self.start.url or "")
            case "audio":
                return OutputAudio(
                    id=next((a.id for a in self.audio if a.id), None),
                    data="".join(a.data for a in self.audio),
                    transcript="".join(a.transcript for a in self.audio),
                    expires_at=next((a.expires_at for a in self.audio if a.expires_at is not None), None),
                )


def fold(events: Iterable[Event]) -> Answer:
    """The answer that a legal stream tells.

    Raises the stream's own fault where it failed, ValueError where it has no proper end.
    """
    started: Started | None = None
    drafts: list[_Draft] = []
    content: list[Raw] = []
    refusal: list[Raw] = []
    for event in events:
        # What most answers are made of is told by its type alone: of these classes, to find out that an event
        # is none of one takes `match` 0.3 µs.
        if type(event) is TextDelta:
            drafts[event.index].texts.append(event.text)
        elif type(event) is Started:
            started = event
        elif type(event) is PartStarted:
            drafts.append(_Draft(event))
        elif type(event) is Finished:
            if started is None:
                raise ValueError("a stream finished before it started")
            return _answer(started, event, drafts, content, refusal)
        elif type(event) is Failed:
            raise event.fault
        elif type(event) is LogprobsDelta:
            content.extend(event.content)
            refusal.extend(event.refusal)
        elif type(event) is not PartFinished:
            _add(drafts, event)
    raise ValueError("a stream ended without a terminal event")


def _add(drafts: list[_Draft], event: Event) -> None:
    match event:
        case ReasoningDelta(index, text) | RefusalDelta(index, text) | ArgumentsDelta(index, text):
            drafts[index].texts.append(text)
        case AudioDelta(index):
            drafts[index].audio.append(event)
        case Annotated(index, annotation):
            drafts[index].annotations.append(annotation)
        case Sealed(index, seal):
            drafts[index].seals.append(seal)


def _answer(
    started: Started, ending: Finished, drafts: list[_Draft], content: list[Raw], refusal: list[Raw]
) -> Answer:
    return Answer(
        id=started.id,
        model=started.model,
        created=started.created,
        fingerprint=started.fingerprint,
        parts=tuple([draft.finish() for draft in drafts]),
        finish=ending.reason,
        usage=ending.usage,
        cost=ending.cost,
        logprobs_content=tuple(content),
        logprobs_refusal=tuple(refusal),
    )
