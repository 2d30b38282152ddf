"""What a surface is to the edge and the gateway: pure translation between a client's language and ours."""

from typing import Protocol

from msgspec import Struct

from quantized.core.errors import Fault
from quantized.core.events import Event, FinishReason
from quantized.core.fold import Answer
from quantized.core.request import GenerationRequest
from quantized.core.usage import Bill


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

    def finish(self, reason: FinishReason, bill: Bill) -> bytes:
        """A proper end: what the answer still owes, the usage with its credits, the end mark."""

    def fail(self, fault: Fault, bill: Bill | None) -> bytes:
        """An end that is not one, recognisable as such; what was charged for the part that came, if any."""


class Surface(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def language(self) -> str:
        """The wire language, as in a provider's `Capabilities.language`."""

    def parse(self, body: bytes) -> GenerationRequest:
        """Raises InvalidRequest and its kinds, with the path of the field."""

    def renderer(self, request: GenerationRequest) -> Renderer: ...

    def render(self, request: GenerationRequest, answer: Answer, bill: Bill) -> bytes:
        """The JSON body of a whole answer."""

    def render_error(self, fault: Fault) -> ErrorAnswer: ...
