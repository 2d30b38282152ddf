"""An answer of the Messages API, streamed or whole, to events."""

from collections.abc import Sequence

from msgspec.structs import replace

from quantized.core.errors import Fault
from quantized.core.events import Event, Finished, FinishReason, Started
from quantized.providers.answers import UNREADABLE, Unreadable, broken, failed, unknown_reason
from quantized.providers.anthropic.blocks import Blocks
from quantized.providers.anthropic.errors import fault_of_error
from quantized.providers.anthropic.schema import (
    Body,
    Frame,
    Head,
    StopDetails,
    decode_answer,
    decode_frame,
)
from quantized.providers.anthropic.usage import Reported, merge, read_input, read_usage
from quantized.providers.cleaning import clean
from quantized.providers.provider import no_relay
from quantized.wire.sse import SseSplitter

REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""What the API says to what OpenAI says. Whatever is not here is a failure: to call it a stop would be to
make it up."""


class Telling:
    """What one answer has told so far, whether it comes in frames or in one body."""

    def __init__(self, provider: str, model: str) -> None:
        self._provider = provider
        self._model = model
        self._reported: Reported | None = None
        self._reason: str | None = None
        self._details: StopDetails | None = None
        self.blocks: Blocks | None = None
        """None before the message has begun."""
        self.worked = False
        """Something of an answer has come, be it unreadable: the server has worked, and may bill it."""

    def start(self, message_id: str | None, model: str | None, events: list[Event]) -> None:
        model = model or self._model
        self.blocks = Blocks(model)
        # The API dates nothing.
        events.append(Started(message_id or "", model, 0))

    def count(self, reported: Reported | None) -> None:
        if reported is not None:
            self._reported = merge(self._reported, reported)

    def stop(self, reason: str | None, details: StopDetails | None) -> None:
        self._reason = reason or self._reason
        self._details = details or self._details

    def end(self, complaint: str | None) -> list[Event]:
        """The proper end, unless there is something to complain about."""
        if complaint is None and self.blocks is None:
            complaint = "no message"
        reason = REASONS.get(self._reason or "")
        if complaint is None and reason is None:
            complaint = unknown_reason("stop_reason", self._reason)
        if complaint is not None or reason is None or self.blocks is None:
            return self.broken(complaint or "")
        events: list[Event] = []
        self.blocks.complete(events)
        if self._reason == "refusal" and self._details is not None and self._details.explanation:
            self.blocks.refuse(clean(self._details.explanation), events)
        self.blocks.finish(events)
        return [*events, Finished(reason, read_usage(self._reported))]

    def fail(self, fault: Fault) -> list[Event]:
        events: list[Event] = []
        if self.blocks is not None:
            self.blocks.finish(events)
        usage = read_usage(self._reported)
        # A stream counts its input first, caches and all.
        counted = read_input(self._reported) if usage is None else None
        return [*events, failed(fault, usage, counted, worked=self.worked)]

    def error(self, payload: bytes) -> list[Event]:
        """An error in place of the rest of an answer that began with a 200."""
        return self.fail(fault_of_error(self._provider, self._model, payload))

    def broken(self, what: str) -> list[Event]:
        return self.fail(broken(self._provider, what))


class StreamDecoder:
    """A stream of Messages events.

    A proper end takes a `stop_reason` and then `message_stop`; after that nothing is read. Events that nobody
    knows are passed over. A frame that cannot be read is skipped and counted, and an answer that lost a frame
    cannot end well: what could be read has been told by then, and the end is a failure.
    """

    relay = staticmethod(no_relay)

    def __init__(self, name: str, model: str) -> None:
        self._splitter = SseSplitter()
        self._telling = Telling(name, model)
        self._ended = False
        self.malformed = 0
        """Frames that were skipped because nobody could read them."""

    def feed(self, data: bytes) -> list[tuple[bytes | None, tuple[Event, ...]]]:
        """No payload is ever fit to be sent on: no surface speaks this language."""
        out: list[tuple[bytes | None, tuple[Event, ...]]] = []
        for _, payload in self._splitter.feed(data):
            if self._ended:
                return out
            out.append((None, self._frame(payload)))
        if self._splitter.overflowed and not self._ended:
            self._telling.worked = True
            out.append((None, self._end(self._telling.broken("a frame without end"))))
        return out

    def close(self) -> tuple[Event, ...]:
        if self._ended:
            return ()
        left = self._splitter.close()
        if self._telling.blocks is None and left.startswith(b"{"):
            # A body of JSON in place of a stream.
            return self._end(self._telling.error(left))
        if _is_stop(left):
            # Only the blank line after the last event is missing, and nothing with it.
            return self._end(self._telling.end(self._complaint()))
        return self._end(self._telling.broken("ended without message_stop"))

    def _complaint(self) -> str | None:
        return f"{self.malformed} unreadable frames" if self.malformed else None

    def _end(self, events: list[Event]) -> tuple[Event, ...]:
        self._ended = True
        return tuple(events)

    def _frame(self, payload: bytes) -> tuple[Event, ...]:
        events: list[Event] = []
        try:
            frame = decode_frame(payload)
            if frame is None:
                return ()
            if frame.type == "error":
                return self._end(self._telling.error(payload))
            self._telling.worked = True
            if frame.type == "message_stop":
                return self._end(self._telling.end(self._complaint()))
            self._note(frame, events)
        except (*UNREADABLE, Unreadable):
            self._telling.worked = True
            self.malformed += 1
        return tuple(events)

    def _note(self, frame: Frame, events: list[Event]) -> None:
        telling = self._telling
        blocks, index, delta = telling.blocks, frame.index, frame.delta
        # Nearly every frame is a piece of a block, so those come first.
        if frame.type == "content_block_delta" and blocks and delta and index is not None:
            blocks.grow(index, delta, events)
            return
        match frame.type:
            case "content_block_start" if blocks and index is not None:
                blocks.begin(index, frame.content_block, events)
            case "content_block_stop" if blocks:
                blocks.stop(events)
            case "message_delta":
                telling.count(frame.usage)
                if delta:
                    telling.stop(delta.stop_reason, delta.stop_details)
            case "message_start" if frame.message and not blocks:
                self._start(frame.message, events)
            case _:
                raise Unreadable(f"a {frame.type} that belongs nowhere")

    def _start(self, head: Head, events: list[Event]) -> None:
        self._telling.start(head.id, head.model, events)
        if head.usage is not None:
            # The output that a stream begins with is no count of what will come.
            self._telling.count(replace(head.usage, output_tokens=None, output_tokens_details=None))


def _is_stop(left: bytes) -> bool:
    """Whether a frame that was not closed is the last one all the same."""
    data = left.rpartition(b"data:")[2]
    try:
        frame = decode_frame(data)
    except UNREADABLE:
        return False
    return frame is not None and frame.type == "message_stop"


def decode_body(name: str, model: str, body: bytes) -> Sequence[Event]:
    """One JSON body. An answer that is not one is a Failed event."""
    telling = Telling(name, model)
    events: list[Event] = []
    try:
        answer = decode_answer(body)
        if answer.type == "error" or answer.error is not None:
            return telling.error(body)
        telling.worked = True
        if answer.content is None:
            return telling.broken("no content")
        _tell(answer, telling, events)
    except (*UNREADABLE, Unreadable) as error:
        # A page of some server on the way says nothing about the model; an object is what it made.
        telling.worked = body.lstrip().startswith(b"{")
        return [*events, *telling.broken(f"unreadable body: {error}")]
    return [*events, *telling.end(None)]


def _tell(answer: Body, telling: Telling, events: list[Event]) -> None:
    telling.start(answer.id, answer.model, events)
    telling.count(answer.usage)
    telling.stop(answer.stop_reason, answer.stop_details)
    if telling.blocks is not None:
        for index, raw in enumerate(answer.content or ()):
            telling.blocks.begin(index, raw, events)
