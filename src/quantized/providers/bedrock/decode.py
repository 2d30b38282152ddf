"""An answer of Converse or ConverseStream to events."""

from collections.abc import Sequence

from quantized.core.errors import Fault
from quantized.core.events import Event, Finished, FinishReason, Started
from quantized.providers.answers import UNREADABLE, Unreadable, broken, failed, unknown_reason
from quantized.providers.bedrock.blocks import Blocks
from quantized.providers.bedrock.errors import fault_of_exception
from quantized.providers.bedrock.schema import (
    decode_answer,
    decode_block_delta,
    decode_block_start,
    decode_block_stop,
    decode_message_stop,
    decode_metadata,
)
from quantized.providers.bedrock.usage import Reported, read_usage
from quantized.providers.provider import no_relay
from quantized.wire.aws_eventstream import DamagedEventStream, EventStreamDecoder, Headers

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""What the API says to what OpenAI says. Whatever is not here is a failure, as a call or an answer is that
the model got wrong (`malformed_tool_use`, `malformed_model_output`)."""


class Telling:
    """What one answer has told so far, whether it comes in frames or in one body. It has neither an id nor a
    date, and goes by the name that its model was asked for."""

    def __init__(self, provider: str, model: str, family: str) -> None:
        self._provider = provider
        self._model = model
        self._family = family
        self._reported: Reported | None = None
        self.reason: str | None = None
        self.blocks: Blocks | None = None
        """None before the message has begun."""
        self.worked = False
        """The model has begun to answer, and is to be paid."""

    def start(self, events: list[Event]) -> None:
        self.worked = True
        self.blocks = Blocks(self._family, self._model)
        events.append(Started("", self._model, 0))

    def count(self, reported: Reported | None) -> None:
        self._reported = reported or self._reported

    def end(self, complaint: str | None) -> list[Event]:
        """The proper end, unless there is something to complain about."""
        reason = REASONS.get(self.reason or "")
        if complaint is None and reason is None:
            complaint = unknown_reason("stopReason", self.reason)
        if complaint is not None or reason is None or self.blocks is None:
            return self.broken(complaint or "no message")
        events: list[Event] = []
        self.blocks.stop(events)
        self.blocks.finish(events)
        return [*events, Finished(reason, read_usage(self._reported))]

    def fail(self, fault: Fault) -> list[Event]:
        events: list[Event] = []
        if self.blocks is not None:
            self.blocks.finish(events)
        return [*events, failed(fault, read_usage(self._reported), worked=self.worked)]

    def exception(self, headers: Headers, payload: bytes) -> list[Event]:
        """An exception in place of the rest of an answer."""
        return self.fail(fault_of_exception(self._provider, self._model, headers, payload))

    def broken(self, what: str) -> list[Event]:
        return self.fail(broken(self._provider, what))


class StreamDecoder:
    """A stream of Converse's events. `family`: whose the model is, as `families.family_of` names it.

    A proper end takes `messageStop` and `metadata`, and with the usage nothing more is read. Bytes that are
    over before both are cut: only `metadata` tells them from an answer that was broken off between two
    frames. Events that nobody knows are passed over. An event that cannot be read is skipped
    and counted, and an answer that lost one cannot end well; after a frame that is damaged nothing is read.
    """

    relay = staticmethod(no_relay)

    def __init__(self, name: str, model: str, family: str) -> None:
        self._frames = EventStreamDecoder()
        self._telling = Telling(name, model, family)
        self._told_metadata = False
        self._ended = False
        self.malformed = 0
        """Events that were skipped because nobody could read them."""

    def feed(self, data: bytes) -> list[tuple[bytes | None, tuple[Event, ...]]]:
        """No payload is ever fit to be sent on: no surface speaks this language."""
        out: list[tuple[bytes | None, tuple[Event, ...]]] = []
        try:
            for headers, payload in self._frames.feed(data):
                if self._ended:
                    return out
                out.append((None, self._frame(headers, payload)))
        except DamagedEventStream as damage:
            if not self._ended:
                out.append((None, self._end(self._telling.broken(str(damage)))))
        return out

    def close(self) -> tuple[Event, ...]:
        if self._ended:
            return ()
        try:
            self._frames.close()
        except DamagedEventStream as damage:
            return self._end(self._telling.broken(str(damage)))
        if self._telling.reason is None:
            return self._end(self._telling.broken("ended without messageStop"))
        if not self._told_metadata:
            return self._end(self._telling.broken(self._complaint() or "ended without metadata"))
        return self._end(self._telling.end(self._complaint()))

    def _complaint(self) -> str | None:
        return f"{self.malformed} unreadable events" if self.malformed else None

    def _end(self, events: list[Event]) -> tuple[Event, ...]:
        self._ended = True
        return tuple(events)

    def _frame(self, headers: Headers, payload: bytes) -> tuple[Event, ...]:
        events: list[Event] = []
        message = headers.get(":message-type")
        if message in {"exception", "error"}:
            return self._end(self._telling.exception(headers, payload))
        try:
            if message != "event":
                raise Unreadable("a message that is no event")
            self._note(headers.get(":event-type"), payload, events)
        except (*UNREADABLE, Unreadable):
            self.malformed += 1
        if self._ended:
            events += self._telling.end(self._complaint())
        return tuple(events)

    def _note(self, kind: object, payload: bytes, events: list[Event]) -> None:
        telling = self._telling
        blocks = telling.blocks if telling.reason is None else None
        match kind:
            # Nearly every event is a piece of a block, so those come first.
            case "contentBlockDelta" if blocks:
                piece = decode_block_delta(payload)
                blocks.grow(piece.content_block_index, piece.delta, events)
            case "contentBlockStart" if blocks:
                begun = decode_block_start(payload)
                blocks.begin(begun.content_block_index, begun.start, events)
            case "contentBlockStop" if blocks:
                decode_block_stop(payload)
                blocks.stop(events)
            case "messageStart" if telling.blocks is None:
                telling.start(events)
            case "messageStop" if blocks:
                telling.reason = decode_message_stop(payload).stop_reason or ""
                blocks.stop(events)
            case "metadata":
                usage = decode_metadata(payload).usage
                telling.count(usage)
                self._told_metadata = True
                self._ended = usage is not None and telling.reason is not None
            case (
                "contentBlockDelta"
                | "contentBlockStart"
                | "contentBlockStop"
                | "messageStart"
                | "messageStop"
            ):
                raise Unreadable(f"a {kind} that belongs nowhere")


def decode_body(name: str, model: str, family: str, body: bytes) -> Sequence[Event]:
    """One JSON body. An answer that is not one is a Failed event."""
    telling = Telling(name, model, family)
    events: list[Event] = []
    try:
        answer = decode_answer(body)
        if answer.output is None or answer.output.message is None or answer.output.message.content is None:
            return telling.broken("no content")
        telling.start(events)
        telling.count(answer.usage)
        telling.reason = answer.stop_reason
        if telling.blocks is not None:
            for raw in answer.output.message.content:
                telling.blocks.add(raw, events)
    except (*UNREADABLE, Unreadable) as error:
        # A page of some server on the way says nothing about the model; an object is what it made.
        telling.worked = body.lstrip().startswith(b"{")
        return [*events, *telling.broken(f"unreadable body: {error}")]
    return [*events, *telling.end(None)]
