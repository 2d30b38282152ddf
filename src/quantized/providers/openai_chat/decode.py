"""A Chat Completions answer, streamed or whole, to events."""

import re
from collections.abc import Sequence
from typing import Any

from msgspec.json import encode

from quantized.core.errors import Fault, ProviderUnavailable
from quantized.core.events import (
    Event,
    Failed,
    Finished,
    FinishReason,
    LogprobsDelta,
    PartFinished,
    PartStarted,
    Started,
    TextDelta,
)
from quantized.core.usage import Usage
from quantized.providers.openai_chat.assembly import Assembly, Unreadable
from quantized.providers.openai_chat.beside import NOTHING
from quantized.providers.openai_chat.errors import fault_of_error
from quantized.providers.openai_chat.schema import (
    UNREADABLE,
    Choice,
    Chunk,
    Delta,
    KnownChunk,
    Logprobs,
    decode_chunk,
    decode_frame,
)
from quantized.providers.openai_chat.template import Template
from quantized.providers.openai_chat.usage import Reported, read_usage
from quantized.providers.provider import Relay, no_relay
from quantized.wire.sse import SseSplitter

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "safety": "content_filter",
    "recitation": "content_filter",
    "sensitive": "content_filter",
}
"""What servers say, in lower case, to what OpenAI says. Whatever is not here (`error`, `network_error`,
`abort`, a word nobody has heard of) is a failure: to call it a stop would be to make it up."""

_DONE = b"[DONE]"
_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _Ending(Exception):
    """The answer is over, and not well."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class Telling:
    """What one answer has told so far, whether it comes in frames or in one body."""

    def __init__(
        self, provider: str, model: str, searches: int, output_cap: int | None, *, whole: bool = False
    ) -> None:
        self._provider = provider
        self._model = model
        self._searches = searches
        self._output_cap = output_cap
        self.assembly = Assembly(provider, whole=whole)
        self.started = False
        self.worked = False
        """A part of an answer or a count has come: the server has worked, and may bill it."""
        self._astray = False
        """Something came that is numbered as another answer than the one that was asked for."""
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._cost: int | None = None

    def note(self, chunk: Chunk, events: list[Event]) -> None:
        """Appends to `events` all that `chunk` tells but its end. Raises _Ending for an error in it,
        Unreadable."""
        if chunk.choices or chunk.usage is not None:
            self.worked = True
        if chunk.usage is not None:
            self._note_usage(chunk.usage)
        for choice in chunk.choices or ():
            # Only one answer was asked for.
            if choice.index:
                self._astray = True
                continue
            if not self.started:
                events.append(self._start(chunk))
            self._choice(choice, events)
        if chunk.error:
            raise _Ending(self._error(chunk.error))

    def end(self, complaint: str | None) -> list[Event]:
        """The proper end, unless there is something to complain about."""
        reason = REASONS.get((self._reason or "").lower())
        if reason == "stop" and self.assembly.calls:
            # Clients go by the reason, and would leave the call unanswered.
            reason = "tool_calls"
        if complaint is None and reason is None:
            complaint = _unknown_reason(self._reason)
        if complaint is None and self.assembly.nameless:
            complaint = "a tool call without a name"
        if complaint is None and self._astray and not self.assembly.anything:
            complaint = "an answer that is not the first"
        if complaint is not None or reason is None:
            return self.fail(self._unavailable(complaint or ""))
        return [*self.assembly.finish(well=True), Finished(reason, self._usage, self._cost)]

    def fail(self, fault: Fault) -> list[Event]:
        if self.worked and isinstance(fault, ProviderUnavailable):
            # Another try would be paid for a second time.
            fault.retryable = False
        return [*self.assembly.finish(well=False), Failed(fault, self._usage, self._cost)]

    def mistaken(self, payload: bytes) -> list[Event]:
        """The payload is an error as a whole."""
        return self.fail(fault_of_error(self._provider, self._model, payload))

    def broken(self, what: str) -> list[Event]:
        return self.fail(self._unavailable(what))

    def _unavailable(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(cause=f"{self._provider}: broken answer: {what}", retryable=True)

    def _start(self, chunk: Chunk) -> Started:
        self.started = True
        started = _started(chunk, self._model)
        self.assembly.begin(started.id)
        return started

    def _choice(self, choice: Choice, events: list[Event]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            self.assembly.add(delta, events)
        if choice.logprobs is not None:
            _note_logprobs(choice.logprobs, events)
        if choice.finish_reason:
            self._reason = choice.finish_reason
        if choice.error:
            raise _Ending(self._error(choice.error))

    def _error(self, error: Any) -> Fault:
        return fault_of_error(self._provider, self._model, encode(error))

    def _note_usage(self, told: Reported) -> None:
        """The last word wins: where usage comes more than once, it is counted from the beginning."""
        usage, cost = read_usage(told, self._searches, self._output_cap)
        self._usage = usage or self._usage
        self._cost = cost if cost is not None else self._cost


def _started(chunk: Chunk, model: str) -> Started:
    return Started(
        str(chunk.id or ""), chunk.model or model, int(chunk.created or 0), chunk.system_fingerprint
    )


def _unknown_reason(reason: str | None) -> str:
    if not reason:
        return "no finish_reason"
    return f"finish_reason {reason!r}" if _WORD.fullmatch(reason) else "a finish_reason that is no word"


def _note_logprobs(logprobs: Logprobs, events: list[Event]) -> None:
    if logprobs.content or logprobs.refusal:
        events.append(LogprobsDelta(tuple(logprobs.content or ()), tuple(logprobs.refusal or ())))


class StreamDecoder:
    """A stream of Chat Completions chunks.

    A proper end takes a `finish_reason` and then `[DONE]`; after that nothing is read. A frame that cannot
    be read is skipped and counted, and an answer that lost a frame cannot end well: what could be read has
    been told by then, and the end is a failure.
    """

    def __init__(
        self, provider: str, model: str, *, searches: int = 0, output_cap: int | None = None
    ) -> None:
        self._splitter = SseSplitter()
        self._telling = Telling(provider, model, searches, output_cap)
        self._template = Template()
        self._ended = False
        self._relays = False
        self.relay: Relay = no_relay
        self.malformed = 0
        """Frames that were skipped because nobody could read them."""

    def feed(self, data: bytes) -> list[tuple[bytes | None, tuple[Event, ...]]]:
        out = self._feed(data)
        # Whether the next piece may take the lane is known now, and need not be asked when it comes.
        steady = self._relays and not self._ended and self._template.relays and self._splitter.is_between
        self.relay = self._template.relay if steady else no_relay
        return out

    def _feed(self, data: bytes) -> list[tuple[bytes | None, tuple[Event, ...]]]:
        out: list[tuple[bytes | None, tuple[Event, ...]]] = []
        for event, payload in self._splitter.feed(data):
            if self._ended:
                return out
            if payload == _DONE:
                out.append((None, self._end(self._telling.end(self._complaint()))))
            elif event == b"error":
                out.append((None, self._end(self._telling.mistaken(payload))))
            else:
                out.append(self._frame(payload))
        if self._splitter.overflowed and not self._ended:
            out.append((None, self._end(self._telling.broken("a frame without end"))))
        return out

    def close(self) -> tuple[Event, ...]:
        if self._ended:
            return ()
        left = self._splitter.close()
        if left == b"data: " + _DONE:
            # Only the blank line after the end mark is missing, and nothing with it.
            return self._end(self._telling.end(self._complaint()))
        if not self._telling.started and left.startswith(b"{"):
            return self._end(self._telling.mistaken(left))
        return self._end(self._telling.broken("ended without its end mark"))

    def _complaint(self) -> str | None:
        return f"{self.malformed} unreadable frames" if self.malformed else None

    def _end(self, events: list[Event]) -> tuple[Event, ...]:
        self._ended = True
        return tuple(events)

    def _frame(self, payload: bytes) -> tuple[bytes | None, tuple[Event, ...]]:
        index = self._telling.assembly.text_part
        known = self._template.read(payload)
        if known is not None and index is not None:
            text, shown = known
            return shown if self._relays else None, (TextDelta(index, text),)
        try:
            chunk = decode_frame(payload)
        except UNREADABLE:
            self.malformed += 1
            return None, ()
        told = self._careful(chunk, payload)
        match told:
            case (_, (TextDelta(_, text),)) if _is_plain_text(chunk):
                faithful = isinstance(chunk, KnownChunk) and self._telling.assembly.faithful
                self._template.learn(payload, text, shown=faithful)
        return told

    def _careful(self, chunk: Chunk, payload: bytes) -> tuple[bytes | None, tuple[Event, ...]]:
        telling = self._telling
        first = not telling.started
        events: list[Event] = []
        try:
            telling.note(chunk, events)
        except _Ending as ending:
            return None, self._end([*events, *telling.fail(ending.fault)])
        except Unreadable:
            self.malformed += 1
            return None, tuple(events)
        if first and telling.started:
            self._relays = isinstance(chunk, KnownChunk) and _tells_role(chunk)
        if not chunk.choices and chunk.usage is None and _is_error(payload):
            return None, self._end(telling.mistaken(payload))
        fit = self._relays and self._is_plain(chunk, payload) and (first or not _tells_role(chunk))
        return payload if fit else None, tuple(events)

    def _is_plain(self, chunk: Chunk, payload: bytes) -> bool:
        """Nothing but the beginning of things and their deltas, said as we would say it."""
        if not isinstance(chunk, KnownChunk):
            return False
        choices = chunk.choices
        return (
            len(choices) == 1
            and choices[0].finish_reason is None
            and choices[0].message is None
            and chunk.usage is None
            and self._telling.assembly.faithful
            and b"\n" not in payload
        )


def _is_plain_text(chunk: Chunk) -> bool:
    """The frame of one TextDelta holds nothing else that is ours to note."""
    choices = chunk.choices
    return (
        choices is not None
        and len(choices) == 1
        and choices[0].finish_reason is None
        and chunk.usage is None
        and choices[0].delta is not None
        and isinstance(choices[0].delta.content, str)
    )


def _tells_role(chunk: Chunk) -> bool:
    """To be told once: clients add up the strings that they read."""
    return any(choice.delta is not None and choice.delta.role is not None for choice in chunk.choices or ())


def _is_error(payload: bytes) -> bool:
    """Some servers send the error as the frame itself, marked by `object` alone."""
    return b'"object":"error"' in payload.replace(b'": "', b'":"')


def decode_body(
    provider: str, model: str, body: bytes, *, searches: int = 0, output_cap: int | None = None
) -> Sequence[Event]:
    """One JSON body. An answer that is not one is a Failed event."""
    try:
        chunk = decode_chunk(body)
    except UNREADABLE as error:
        return _unreadable(Telling(provider, model, searches, output_cap, whole=True), [], body, error)
    plain = _plain_answer(chunk, model, searches, output_cap)
    return plain or _full_answer(Telling(provider, model, searches, output_cap, whole=True), chunk, body)


def _full_answer(telling: Telling, chunk: Chunk, body: bytes) -> Sequence[Event]:
    events: list[Event] = []
    try:
        telling.note(chunk, events)
    except _Ending as ending:
        return [*events, *telling.fail(ending.fault)]
    except Unreadable as error:
        return _unreadable(telling, events, body, error)
    if not telling.started:
        return telling.mistaken(body) if _is_error(body) else telling.broken("no choices")
    return [*events, *telling.end(None)]


def _unreadable(telling: Telling, events: list[Event], body: bytes, error: Exception) -> list[Event]:
    # A page of some server on the way says nothing about the model; an object is what it made.
    telling.worked = body.lstrip().startswith(b"{")
    return [*events, *telling.broken(f"unreadable body: {error}")]


def _plain_answer(
    chunk: Chunk, model: str, searches: int, output_cap: int | None
) -> tuple[Event, ...] | None:
    """The events of an answer that is one text and ended well, as most are; None for any other. The same as
    `Telling` says of it, for a third of the time."""
    choices = chunk.choices
    if choices is None or len(choices) != 1 or chunk.error:
        return None
    choice = choices[0]
    said, reason = choice.message, REASONS.get((choice.finish_reason or "").lower())
    if said is None or reason is None or choice.index or not _is_text_alone(said):
        return None
    if choice.delta is not None or choice.logprobs is not None or choice.error:
        return None
    usage, cost = (None, None) if chunk.usage is None else read_usage(chunk.usage, searches, output_cap)
    return (
        _started(chunk, model),
        PartStarted(0, "text"),
        TextDelta(0, str(said.content)),
        PartFinished(0),
        Finished(reason, usage, cost),
    )


def _is_text_alone(said: Delta) -> bool:
    return (
        isinstance(said.content, str)
        and said.content != ""
        and not (
            said.reasoning
            or said.reasoning_content
            or said.reasoning_details
            or said.refusal
            or said.tool_calls
            or said.annotations
            or said.images
            or said.extra_content != NOTHING
        )
        and said.function_call is None
        and said.audio is None
    )
