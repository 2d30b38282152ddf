"""What a surface is to the edge and the gateway: pure translation between a client's language and ours."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from quantized.core.errors import Fault
from quantized.core.events import Event, FinishReason
from quantized.core.fold import Answer
from quantized.core.request import GenerationRequest
from quantized.core.turns import StoredTurn, Turn
from quantized.core.usage import Bill, Usage


class ErrorAnswer(Struct, frozen=True):
    """`retry_after` in whole seconds, for the header of that name."""

    status: int
    body: bytes
    retry_after: int | None = None


class Renderer(Protocol):
    """A stream machine: events to the frames a client reads, each frame whole.

    The terminal event is not fed: the money comes between it and the last frames.
    """

    def feed(self, event: Event) -> bytes:
        """The frames that tell this event; empty where there is nothing to tell yet."""

    def relay(self, payload: bytes) -> bytes:
        """The provider's own payload as a frame of ours; only where the languages are the same."""

    def seen(self, event: Event) -> None:
        """A relayed payload has told this. Only what is no delta has to be said: the frames that are still
        rendered need to know what has begun."""

    def turn(self, ending: FinishReason | Fault, usage: Usage) -> Turn | None:
        """What the answer came to, for the store; None where the surface stores nothing. Nothing is fed
        after this."""

    def finish(self, reason: FinishReason, bill: Bill) -> bytes:
        """A proper end: what the answer still owes, the usage with its credits, the end mark."""

    def fail(self, fault: Fault, bill: Bill | None) -> bytes:
        """An end that is not one, recognisable as such; what was charged for the part that came, if any."""


class Dialogue(Protocol):
    """One request of one surface, with all that has to be known to answer it."""

    @property
    def request(self) -> GenerationRequest: ...

    @property
    def language(self) -> str:
        """The wire language of the surface, as in a provider's `Capabilities.language`."""

    def renderer(self) -> Renderer: ...

    def located(self, fault: Fault) -> Fault:
        """The fault, which counts the request's messages, with the place that the caller counted."""

    def whole(self, answer: Answer, usage: Usage) -> tuple[Turn | None, Callable[[Bill], bytes]]:
        """Of an answer that came whole: what it came to, for the store, and its JSON body once the charge is
        known."""

    def kept(self, turn: Turn | None) -> StoredTurn | None:
        """What is to be stored of it with the charge, and until when; None where nothing is."""
