"""One turn of a stored conversation: what was asked and answered, and what a later turn needs of both."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from quantized.core.parts import Reasoning, ToolCall
from quantized.core.request import Message
from quantized.core.usage import Bill

TurnStatus = Literal["completed", "incomplete", "failed"]


class Needs(Struct, frozen=True):
    """What a request refers to and only the store knows: a response to continue, items by id, and tool calls
    whose reasoning the caller sent back without."""

    previous: str | None = None
    items: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()


class Found(Struct, frozen=True):
    """What the store knew. `history` is the conversation up to and including the previous response, oldest
    first; `items` are messages by item id, `shown` the JSON of those items as the API shows it, `reasoning`
    what preceded a tool call."""

    history: tuple[Message, ...] = ()
    items: Mapping[str, tuple[Message, ...]] = {}
    shown: Mapping[str, Raw] = {}
    reasoning: Mapping[ToolCall, tuple[Reasoning, ...]] = {}


class StoredItem(Struct, frozen=True):
    """One input or output item: its JSON as the API shows it, and the messages it stands for in a later turn.
    `call_id` is set where the item is a tool call."""

    id: str
    json: Raw
    messages: tuple[Message, ...]
    call_id: str | None = None


class MadeCall(Struct, frozen=True):
    """A tool call that an answer made: its `fingerprint`, and how many of the answer's thoughts preceded
    it."""

    fingerprint: str
    thoughts: int


class Turn(Struct, frozen=True):
    """A response as it is kept. `body` is the response object's JSON without its `output` and `usage`, which
    are in `output` and with the charge. `thoughts` are all the reasoning of an answer that made calls, in its
    order; `calls` are those calls by their ids, also the ones that nothing preceded. Nothing here says for
    how long it is kept, or for whom."""

    id: str
    previous: str | None
    status: TurnStatus
    body: Raw
    input: tuple[StoredItem, ...]
    output: tuple[StoredItem, ...]
    messages: tuple[Message, ...]
    """This turn's part of the conversation: its own input (without instructions), then its answer, seals
    included."""
    thoughts: tuple[Reasoning, ...] = ()
    calls: Mapping[str, MadeCall] = {}


class StoredTurn(Struct, frozen=True):
    """A turn on its way into the store, to be kept until `expires_at` (Unix milliseconds; None: for ever)."""

    turn: Turn
    expires_at: int | None


class KeptTurn(Struct, frozen=True):
    """A turn as it is read back, with what was paid for it. Times are Unix milliseconds."""

    turn: Turn
    bill: Bill
    created_at: int
    expires_at: int | None


def fingerprint(call: ToolCall) -> str:
    """The same for calls of one function with equal arguments: clients parse those and write them anew."""
    written = call.arguments.encode("utf-8", "surrogatepass")
    try:
        arguments = msgspec.json.encode(msgspec.json.decode(written), order="sorted")
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        arguments = written
    name = blake2b(call.name.encode("utf-8", "surrogatepass")).digest()
    return blake2b(arguments, digest_size=16, key=name).hexdigest()
