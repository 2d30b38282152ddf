"""What decoders of answers share: the parts that an answer is told in, and the ways it can end badly."""

import re
from typing import Annotated

from msgspec import DecodeError, Meta

from quantized.core.errors import Fault, ProviderUnavailable
from quantized.core.events import Event, Failed, PartFinished, PartKind, PartStarted
from quantized.core.usage import Usage

UNREADABLE = (DecodeError, UnicodeDecodeError, RecursionError)
"""What reading bytes of a stranger's as JSON raises."""

_MOST = 10**9
"""Tokens, a hundred times what the largest model can hold. No answer has more, and no ledger could charge
what a broken counter says."""

Count = Annotated[int, Meta(le=_MOST)] | None

_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Unreadable(Exception):
    """A piece of the message that belongs nowhere."""


class Parts:
    """The parts of an answer: one after the other, numbered."""

    def __init__(self) -> None:
        self.length = 0
        """Code points of the open part, if it is text."""
        self._begun = 0
        self._open: PartStarted | None = None

    def begin(
        self,
        kind: PartKind,
        events: list[Event],
        call_id: str | None = None,
        name: str | None = None,
        url: str | None = None,
    ) -> int:
        """A new part; the one before is over."""
        self.end(events)
        self._open = PartStarted(self._begun, kind, call_id, name, url)
        self._begun += 1
        self.length = 0
        events.append(self._open)
        return self._open.index

    def go_on(self, kind: PartKind, events: list[Event]) -> int:
        """The part that is open where it is of this kind, else a new one."""
        if self._open is not None and self._open.kind == kind:
            return self._open.index
        return self.begin(kind, events)

    def end(self, events: list[Event]) -> None:
        if self._open is not None:
            events.append(PartFinished(self._open.index))
            self._open = None


def count(value: int | None) -> int:
    return max(0, value or 0)


def failed(fault: Fault, usage: Usage | None, counted: Usage | None = None, *, worked: bool) -> Failed:
    """An answer's bad end. `worked`: the server has begun to answer, and may bill it; `counted`: its input,
    where that alone is known."""
    if worked and isinstance(fault, ProviderUnavailable):
        # Another try would be paid for a second time.
        fault.retryable = False
    return Failed(fault, usage, counted_input=counted)


def broken(provider: str, what: str) -> Fault:
    """The fault of an answer that nobody can believe."""
    return ProviderUnavailable(cause=f"{provider}: broken answer: {what}", retryable=True)


def unknown_reason(field: str, reason: str | None) -> str:
    """What to complain of where `reason`, why the model stopped, is none that is known."""
    if not reason:
        return f"no {field}"
    return f"{field} {reason!r}" if _WORD.fullmatch(reason) else f"a {field} that is no word"
