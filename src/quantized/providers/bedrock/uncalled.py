"""Answers that must not hold a call, of models that cannot be kept from making one."""

from collections.abc import Iterable, Sequence

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import Event, Failed, Finished, PartStarted
from quantized.providers.provider import Decoder, no_relay

_CAUSE = "the model called a tool although the caller allows none"


class Uncalled:
    """Another decoder's events up to a call that nobody allowed. The answer has failed there, but goes on
    untold to its end, where the provider tells what it consumed."""

    relay = staticmethod(no_relay)

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._called = False

    def feed(self, data: bytes) -> Iterable[tuple[bytes | None, tuple[Event, ...]]]:
        for _, events in self._decoder.feed(data):
            if passed := self._pass(events):
                yield None, passed

    def close(self) -> tuple[Event, ...]:
        return self._pass(self._decoder.close())

    def _pass(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        told: list[Event] = []
        for event in events:
            self._called = self._called or _calls(event)
            if not self._called:
                told.append(event)
            elif isinstance(event, Finished | Failed):
                told.append(_failed(event))
        return tuple(told)


def uncalled(events: Sequence[Event]) -> Sequence[Event]:
    """A whole answer, likewise. What it consumed is told."""
    last = events[-1]
    if any(map(_calls, events)) and isinstance(last, Finished | Failed):
        return (_failed(last),)
    return events


def _calls(event: Event) -> bool:
    return isinstance(event, PartStarted) and event.kind == "tool_call"


def _failed(end: Finished | Failed) -> Failed:
    """Not to be tried again: the model has done its work, and is to be paid."""
    counted = end.counted_input if isinstance(end, Failed) else None
    return Failed(ProviderUnavailable(cause=_CAUSE), end.usage, end.cost, counted)
