"""One turn of a stored conversation: what was asked and answered, and what a later turn needs of both."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Raw, Struct

from quantized.core.parts import Reasoning
from quantized.core.request import Message
from quantized.core.usage import Bill

TurnStatus = Literal["completed", "incomplete", "failed"]


class Needs(Struct, frozen=True):
    """What a request refers to and only the store knows: a response to continue, items by id, and tool calls
    whose reasoning the caller sent back without."""

    previous: str | None = None
    items: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()


class Found(Struct, frozen=True):
    """What the store knew. `history` is the conversation up to and including the previous response, oldest
    first; `items` are messages by item id, `shown` the JSON of those items as the API shows it, `reasoning`
    by tool-call id."""

    history: tuple[Message, ...] = ()
    items: Mapping[str, tuple[Message, ...]] = {}
    shown: Mapping[str, Raw] = {}
    reasoning: Mapping[str, tuple[Reasoning, ...]] = {}


class StoredItem(Struct, frozen=True):
    """One input or output item: its JSON as the API shows it, and the messages it stands for in a later turn.
    `call_id` is set where the item is a tool call."""

    id: str
    json: Raw
    messages: tuple[Message, ...]
    call_id: str | None = None


class Turn(Struct, frozen=True):
    """A response as it is kept. `body` is the response object's JSON without its `output` and `usage`, which
    are in `output` and with the charge. `reasoning` holds, by tool-call id, the reasoning that preceded the
    call in this answer. Nothing here says for how long it is kept, or for whom."""

    id: str
    previous: str | None
    status: TurnStatus
    body: Raw
    input: tuple[StoredItem, ...]
    output: tuple[StoredItem, ...]
    messages: tuple[Message, ...]
    """This turn's part of the conversation: its own input (without instructions), then its answer, seals
    included."""
    reasoning: Mapping[str, tuple[Reasoning, ...]] = {}


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
