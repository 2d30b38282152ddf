"""Answers that must not hold a call, of models that cannot be kept from making one."""

from collections.abc import Iterable, Sequence

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import Event, Failed, PartStarted, Terminal
from quantized.core.usage import Usage
from quantized.providers.provider import Decoder, no_relay

_CAUSE = "the model called a tool although the caller allows none"


class Uncalled:
    """Another decoder's events up to a call that nobody allowed; there the answer has failed."""

    relay = staticmethod(no_relay)

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._failed = False

    def feed(self, data: bytes) -> Iterable[tuple[bytes | None, tuple[Event, ...]]]:
        for _, events in self._decoder.feed(data):
            if passed := self._pass(events):
                yield None, passed

    def close(self) -> tuple[Event, ...]:
        return self._pass(self._decoder.close())

    def _pass(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        if self._failed:
            return ()
        for at, event in enumerate(events):
            if isinstance(event, PartStarted) and event.kind == "tool_call":
                self._failed = True
                return (*events[:at], _failure(None))
        return events


def uncalled(events: Sequence[Event]) -> Sequence[Event]:
    """A whole answer, likewise. What it consumed is told."""
    if not any(isinstance(event, PartStarted) and event.kind == "tool_call" for event in events):
        return events
    last = events[-1]
    return (_failure(last.usage if isinstance(last, Terminal) else None),)


def _failure(usage: Usage | None) -> Failed:
    return Failed(ProviderUnavailable(cause=_CAUSE, retryable=True), usage)
