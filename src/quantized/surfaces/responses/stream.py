"""The stream machine of responses: events of the house to typed events, as server-sent events."""

from functools import cache

from msgspec import Raw
from msgspec.json import Encoder

from quantized.core.errors import Fault
from quantized.core.events import Event, FinishReason, Started
from quantized.core.turns import Turn
from quantized.core.usage import Bill, Usage
from quantized.surfaces.responses.answers import whole
from quantized.surfaces.responses.compose import Conversation
from quantized.surfaces.responses.errors import told
from quantized.surfaces.responses.events import (
    ResponseCompleted,
    ResponseCreated,
    ResponseFailed,
    ResponseIncomplete,
    ResponseInProgress,
    StreamError,
    StreamEvent,
)
from quantized.surfaces.responses.render import Identity, body_of, builder_of, render, status_of, turn_of

_ENCODER = Encoder()
_DONE = b"data: [DONE]\n\n"


class ResponsesRenderer:
    """Feed the events, then ask for the `turn` that is to be stored with the charge, then `finish` or `fail`
    with what was charged. All three may be said once; a failure may still follow a `turn` that ended well."""

    def __init__(self, conversation: Conversation, identity: Identity) -> None:
        self._conversation = conversation
        self._identity = identity
        self._builder = builder_of(conversation, identity)
        self._model: str | None = None
        self._number = 0
        self._owed: list[StreamEvent] = []
        self._ended: tuple[FinishReason | Fault, Turn] | None = None

    def feed(self, event: Event) -> bytes:
        if isinstance(event, Started):
            return self._begin(event.model)
        return self._frames(self._builder.feed(event))

    def relay(self, payload: bytes) -> bytes:  # noqa: ARG002 (a renderer has one)
        raise ValueError("no provider speaks this language")

    def seen(self, event: Event) -> None:  # noqa: ARG002 (a renderer has one)
        raise ValueError("no provider speaks this language")

    def turn(self, ending: FinishReason | Fault, usage: Usage | None) -> Turn:
        """The response as it ended, to be stored. Nothing can be fed after this."""
        if self._ended is not None and self._ended[0] == ending:
            return self._ended[1]
        if self._ended is None:
            self._owed = self._builder.close(
                well=status_of(ending) == "completed",
                searches=0 if usage is None else usage.web_searches,
            )
        model = self._model or self._conversation.request.model
        turn = turn_of(self._conversation, self._identity, model, self._builder.drafts, ending)
        self._ended = (ending, turn)
        return turn

    def finish(self, reason: FinishReason, bill: Bill) -> bytes:
        response = Raw(render(self.turn(reason, bill.usage), bill))
        if status_of(reason) == "completed":
            end: StreamEvent = ResponseCompleted(response=response)
        else:
            end = ResponseIncomplete(response=response)
        return self._frames([*self._owed, end]) + _DONE

    def fail(self, fault: Fault, bill: Bill | None) -> bytes:
        """The error, then the response as far as it came."""
        beginning = b"" if self._model is not None else self._begin(self._conversation.request.model)
        turn = self.turn(fault, None if bill is None else bill.usage)
        said = told(fault)
        error = StreamError(code=fault.code, message=said.message, param=said.param)
        end = ResponseFailed(response=Raw(render(turn, bill)))
        return beginning + self._frames([*self._owed, error, end]) + _DONE

    def _begin(self, model: str) -> bytes:
        self._model = model
        body = body_of(self._conversation, self._identity, model, "in_progress", None)
        response = Raw(whole(body, [], None))
        return self._frames([ResponseCreated(response=response), ResponseInProgress(response=response)])

    def _frames(self, events: list[StreamEvent]) -> bytes:
        return b"".join([self._frame(event) for event in events])

    def _frame(self, event: StreamEvent) -> bytes:
        event.sequence_number = self._number
        self._number += 1
        return b"%b%b\n\n" % (_head(type(event)), _ENCODER.encode(event))


@cache
def _head(kind: type[StreamEvent]) -> bytes:
    return f"event: {kind.__struct_config__.tag}\ndata: ".encode()
