"""What the laws share: the grammar of a legal stream, and answers made comparable."""

from collections.abc import Iterable
from typing import Any

import msgspec
from taped import REQUEST, blocks_of, provider_of

from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    AudioDelta,
    Event,
    Failed,
    Finished,
    LogprobsDelta,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    Started,
    TextDelta,
)
from quantized.core.fold import Answer
from quantized.core.parts import Reasoning

_KINDS = {
    TextDelta: {"text"},
    Annotated: {"text"},
    ReasoningDelta: {"reasoning"},
    Sealed: {"reasoning"},
    RefusalDelta: {"refusal"},
    ArgumentsDelta: {"tool_call"},
    AudioDelta: {"audio"},
}

Told = list[tuple[bytes | None, tuple[Event, ...]]]


def tell(name: str, pieces: Iterable[bytes]) -> Told:
    """Everything the decoder of a tape says to these pieces and to their end."""
    decoder = provider_of(name).decoder(REQUEST)
    told: Told = [frame for piece in pieces for frame in decoder.feed(piece)]
    return [*told, (None, decoder.close())]


def comparable_events(events: Iterable[Event]) -> list[Any]:
    """Faults are exceptions, and two that say the same are still two."""
    return [
        (type(e.fault), e.fault.message, e.fault.cause, e.usage, e.cost, e.counted_input)
        if isinstance(e, Failed)
        else e
        for e in events
    ]


def comparable_frames(told: Told) -> list[Any]:
    return [(payload, comparable_events(events)) for payload, events in told]


def events_of(told: Told) -> list[Event]:
    return [event for _, events in told for event in events]


def assert_legal(events: list[Event]) -> None:
    """The grammar in the docstring of core.events."""
    assert events, "a stream says at least how it ended"
    assert isinstance(events[-1], Finished | Failed)
    assert isinstance(events[0], Started | Failed)
    kinds: dict[int, str] = {}
    open_parts: set[int] = set()
    for event in events[1:-1]:
        match event:
            case PartStarted(index, kind):
                assert index == len(kinds), "parts are numbered in the order in which they start"
                kinds[index] = kind
                open_parts.add(index)
            case PartFinished(index):
                open_parts.remove(index)
            case LogprobsDelta():
                pass
            case Started() | Finished() | Failed():
                raise AssertionError(f"{event} in the middle")
            case _:
                assert event.index in open_parts
                assert kinds[event.index] in _KINDS[type(event)]
    assert not open_parts, "every part ends"


def comparable(answer: Answer) -> dict[str, Any]:
    """With the fragments of reasoning blocks put together, so that a stream and a body can be compared."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    plain["parts"] = [
        (type(part).__name__, part.text, blocks_of(part.seals))
        if isinstance(part, Reasoning)
        else (type(part).__name__, msgspec.json.decode(msgspec.json.encode(part)))
        for part in answer.parts
    ]
    return plain
