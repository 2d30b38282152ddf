"""Stored turns, whichever database they are in: how one becomes rows, and what is asked of them."""

from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from quantized.core.ids import canonical_response_id
from quantized.core.turns import StoredTurn
from quantized.storage import turn_format
from quantized.storage.records import Row, Settlement

RESPONSE_COLUMNS = ("id", "license_id", "previous_id", "hold_id", "created_at", "expires_at")
BLOB_COLUMNS = ("answer", "context", "input")
CALL_COLUMNS = ("license_id", "call_id", "response_id", "fingerprint", "thoughts")
REASONING_COLUMNS = ("response_id", "reasoning")


class Link(Struct, frozen=True, array_like=True):
    """One turn of a chain. `depth` is 1 for the last turn; `size` is the bytes of the context up to here,
    counted from the last turn."""

    id: str
    previous_id: str | None
    depth: int
    size: int


class Sizes(Struct, frozen=True, array_like=True):
    """A response, and how many bytes its answer and its input are."""

    id: str
    answer: int
    input: int


class CallLink(Struct, frozen=True, array_like=True):
    """A tool call as `core.turns.MadeCall` has it, the answer that made it, and how many bytes all reasoning
    of that is."""

    call_id: str
    response_id: str
    fingerprint: str
    thoughts: int
    size: int


class ExpiredLeaf(Struct, frozen=True):
    """A response whose time is over and that nothing continues."""

    expires_at: int
    id: str
    previous_id: str | None


class TurnRows(Struct):
    """The rows of a batch's turns. `responses` in the order of RESPONSE_COLUMNS; `blobs` has those of
    BLOB_COLUMNS for each."""

    responses: list[Row] = []
    blobs: list[tuple[bytes, bytes, bytes]] = []
    calls: list[Row] = []
    reasoning: list[tuple[str, bytes]] = []


def turn_rows(settlements: Sequence[Settlement]) -> TurnRows:
    """Raises Rejected for a turn that cannot be written."""
    rows = TurnRows()
    for settlement in settlements:
        if settlement.charge.turn is not None:
            _add(rows, settlement, settlement.charge.turn)
    return rows


def _add(rows: TurnRows, settlement: Settlement, stored: StoredTurn) -> None:
    turn, license_id = stored.turn, settlement.charge.license_id
    response_id = canonical_response_id(turn.id)
    previous_id = None if turn.previous is None else canonical_response_id(turn.previous)
    rows.responses.append(
        (response_id, license_id, previous_id, settlement.charge.hold_id, settlement.at, stored.expires_at)
    )
    rows.blobs.append(
        (turn_format.encode_answer(turn), turn_format.encode_context(turn), turn_format.encode_input(turn))
    )
    rows.calls += [
        (license_id, call_key(call_id), response_id, made.fingerprint, made.thoughts)
        for call_id, made in turn.calls.items()
    ]
    if turn.thoughts:
        rows.reasoning.append((response_id, turn_format.encode_reasoning(turn.thoughts)))


_LONGEST_KEY = 200
"""Characters. PostgreSQL takes 2,700 bytes in the whole of a key."""

_DIGEST = "sha256:"


def call_key(call_id: str) -> str:
    """A tool call's id as it is stored. Providers mint them, and a database takes neither all characters nor
    any length in a key."""
    if len(call_id) <= _LONGEST_KEY and "\0" not in call_id and not call_id.startswith(_DIGEST):
        return call_id
    return _DIGEST + sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()
