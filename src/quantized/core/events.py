"""What a provider says while it answers, and the grammar that a legal stream obeys.

    stream   = Started part* terminal | Failed
    part     = PartStarted(i) delta(i)* PartFinished(i)   several may be open at once
    delta    = TextDelta | ReasoningDelta | RefusalDelta | ArgumentsDelta | AudioDelta
             | Annotated | Sealed | LogprobsDelta
    terminal = Finished | Failed

`index` numbers the parts 0, 1, 2, … in the order in which they started. `LogprobsDelta` belongs to no part.
"""

from typing import Literal

from msgspec import Raw, Struct

from quantized.core.errors import Fault
from quantized.core.parts import Seal
from quantized.core.usage import Usage

PartKind = Literal["text", "reasoning", "refusal", "tool_call", "image", "audio"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class Started(Struct, frozen=True):
    """`created` is Unix time in seconds."""

    id: str
    model: str
    created: int
    fingerprint: str | None = None


class PartStarted(Struct, frozen=True):
    """`id` and `name` for a tool call; `url` for an image, which is whole at once."""

    index: int
    kind: PartKind
    id: str | None = None
    name: str | None = None
    url: str | None = None


class TextDelta(Struct, frozen=True):
    index: int
    text: str


class ReasoningDelta(Struct, frozen=True):
    index: int
    text: str


class RefusalDelta(Struct, frozen=True):
    index: int
    text: str


class ArgumentsDelta(Struct, frozen=True):
    """`text` is a piece of JSON text."""

    index: int
    text: str


class AudioDelta(Struct, frozen=True):
    index: int
    id: str | None = None
    data: str = ""
    transcript: str = ""
    expires_at: int | None = None


class Annotated(Struct, frozen=True):
    index: int
    annotation: Raw


class Sealed(Struct, frozen=True):
    index: int
    seal: Seal


class LogprobsDelta(Struct, frozen=True):
    """Entries of `choices[].logprobs`, as they came."""

    content: tuple[Raw, ...] = ()
    refusal: tuple[Raw, ...] = ()


class PartFinished(Struct, frozen=True):
    index: int


class Finished(Struct, frozen=True):
    """A proper end. `usage` is None when the provider reported none, or only half of it, and then all of it
    is to be estimated; `cost` is what the provider says it charges us, in pico-dollars (10^-12), where it
    says so."""

    reason: FinishReason
    usage: Usage | None
    cost: int | None = None


class Failed(Struct, frozen=True):
    """An end that is not one. What was counted so far comes along, so that it can be charged: all of it in
    `usage`, or where that is None perhaps the input alone, and then only the output is to be estimated."""

    fault: Fault
    usage: Usage | None = None
    cost: int | None = None
    counted_input: Usage | None = None


Delta = (
    TextDelta
    | ReasoningDelta
    | RefusalDelta
    | ArgumentsDelta
    | AudioDelta
    | Annotated
    | Sealed
    | LogprobsDelta
)
Terminal = Finished | Failed
Event = Started | PartStarted | Delta | PartFinished | Terminal
