"""Stored turns on SQLite: written by the ledger with their charges, read and removed here.

What is read comes as one row of JSON, or as one row of many blobs; `storage.bulk` says why.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeVar

import msgspec
from msgspec import Struct

from quantized.core.ids import canonical_response_id
from quantized.core.turns import KeptTurn, MadeCall, StoredTurn, Turn
from quantized.core.usage import Bill, Usage
from quantized.storage import turn_format
from quantized.storage.bulk import Row, chunks, insert_rows, insertion, marks, padded
from quantized.storage.database_thread import DatabaseThread
from quantized.storage.records import Settlement

T = TypeVar("T")

_insert_responses = insertion(
    "response",
    (
        "id", "license_id", "previous_id", "hold_id", "created_at", "expires_at", "answer", "context",
        "input",
    ),
)  # fmt: skip
_insert_calls = insertion(
    "response_call", ("license_id", "call_id", "response_id", "fingerprint", "thoughts")
)
_insert_reasoning = insertion("response_reasoning", ("response_id", "reasoning"))

_LIVES = " license_id = ? AND (expires_at IS NULL OR expires_at > ?)"
SELECT_CHAIN = (
    "WITH RECURSIVE chain (id, previous_id, depth, size) AS ("  # noqa: S608  texts of ours
    f" SELECT id, previous_id, 1, length(context) FROM response WHERE{_LIVES} AND id = ?"
    " UNION ALL"
    " SELECT r.id, r.previous_id, chain.depth + 1, chain.size + length(r.context)"
    " FROM chain JOIN response AS r ON r.id = chain.previous_id"
    " WHERE r.license_id = ? AND chain.depth <= ? AND chain.size <= ?"
    ") SELECT json_group_array(json_array(id, previous_id, depth, size)) FROM chain"
)
_SELECT_SIZES = (
    "SELECT json_group_array(json_array(id, length(answer), length(input)))"  # noqa: S608  texts of ours
    f" FROM response WHERE{_LIVES} AND id IN "
)
# One answer that made the call, and whether there is another: however many there are, two rows are looked at.
SELECT_OWN_CALLS = (
    "WITH wanted (id) AS (VALUES {ids})"
    " SELECT json_group_array("
    "json_array(c.call_id, c.response_id, c.fingerprint, c.thoughts, length(t.reasoning)))"
    " FROM wanted CROSS JOIN response_call AS c ON c.license_id = ?1 AND c.call_id = wanted.id"
    " AND c.response_id = ("
    "SELECT min(response_id) FROM response_call WHERE license_id = ?1 AND call_id = wanted.id)"
    " CROSS JOIN response AS r ON r.id = c.response_id AND (r.expires_at IS NULL OR r.expires_at > ?2)"
    " CROSS JOIN response_reasoning AS t ON t.response_id = c.response_id"
    " WHERE c.thoughts > 0 AND NOT EXISTS (SELECT 1 FROM response_call AS other"
    " WHERE other.license_id = ?1 AND other.call_id = c.call_id AND other.response_id > c.response_id)"
)
_SELECT_TURN = (
    "SELECT r.id, r.previous_id, r.created_at, r.expires_at, r.answer, r.context, r.input,"  # noqa: S608  names
    f" u.charged, u.remaining, u.estimated, {', '.join(f'u.{name}' for name in Usage.__struct_fields__)}"
    " FROM response AS r JOIN usage_record AS u ON u.hold_id = r.hold_id"
    " WHERE r.license_id = ? AND (r.expires_at IS NULL OR r.expires_at > ?) AND r.id = ?"
)
_SELECT_CALLS = "SELECT call_id, fingerprint, thoughts FROM response_call WHERE response_id = ?"
_SELECT_REASONING = "SELECT reasoning FROM response_reasoning WHERE response_id = ?"
_DELETE = "DELETE FROM response WHERE id = ? AND license_id = ?"

_EXPIRED_LEAF = (
    " expires_at <= ? AND NOT EXISTS (SELECT 1 FROM response AS next WHERE next.previous_id = response.id)"
)
SELECT_EXPIRED = (
    "SELECT expires_at, id, previous_id FROM response"  # noqa: S608  texts of ours
    f" WHERE (expires_at, id) > (?, ?) AND{_EXPIRED_LEAF} ORDER BY expires_at, id LIMIT ?"
)
_SELECT_EXPIRED_AMONG = f"SELECT expires_at, id, previous_id FROM response WHERE{_EXPIRED_LEAF} AND id IN "  # noqa: S608
_DELETE_EXPIRED = f"DELETE FROM response WHERE{_EXPIRED_LEAF} AND id IN "  # noqa: S608  texts of ours


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


def insert_turns(connection: sqlite3.Connection, settlements: Sequence[Settlement]) -> None:
    """Inside the transaction that writes the charges, and after them."""
    responses: list[Row] = []
    calls: list[Row] = []
    reasoning: list[Row] = []
    for settlement in settlements:
        if settlement.charge.turn is not None:
            responses.append(_response_row(settlement, settlement.charge.turn))
            calls += _call_rows(settlement.charge.license_id, settlement.charge.turn.turn)
            reasoning += _reasoning_rows(settlement.charge.turn.turn)
    insert_rows(connection, _insert_responses, responses)
    insert_rows(connection, _insert_calls, calls)
    insert_rows(connection, _insert_reasoning, reasoning)


class TurnReader:
    """Questions about what one licence has stored, to one connection. Blocking. What has expired is not
    there, other than as the beginning of what has not."""

    def __init__(self, connection: sqlite3.Connection, license_id: str, now_ms: int) -> None:
        self._connection = connection
        self._license_id = license_id
        self._now = now_ms

    def chain(self, response_id: str, *, turns: int, size: int) -> list[Link]:
        """The turn and those before it, the last first, and no more of them than it takes to see that one of
        the bounds is exceeded. Loads nothing of what they hold. Empty where there is no such turn."""
        values = (self._license_id, self._now, response_id, self._license_id, turns, size)
        row = self._connection.execute(SELECT_CHAIN, values).fetchone()
        return sorted(msgspec.json.decode(row[0], type=list[Link]), key=lambda link: link.depth)

    def sizes(self, response_ids: Sequence[str]) -> list[Sizes]:
        """Of those that exist."""
        return self._select(_SELECT_SIZES, (self._license_id, self._now), response_ids, Sizes)

    def own_calls(self, call_ids: Sequence[str]) -> list[CallLink]:
        """The calls after some reasoning that one answer alone has made, expired ones counted."""
        found: dict[str, CallLink] = {}
        for group in padded(call_ids):
            statement = _own_calls(len(group))
            row = self._connection.execute(statement, (self._license_id, self._now, *group)).fetchone()
            links = msgspec.json.decode(row[0], type=list[CallLink])
            found |= {link.call_id: link for link in links}
        return [*found.values()]

    # The blobs of responses and calls that one of the above found; None for what has gone since.

    def contexts(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs("SELECT context FROM response WHERE id = ?", [(id_,) for id_ in response_ids])

    def answers(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs("SELECT answer FROM response WHERE id = ?", [(id_,) for id_ in response_ids])

    def inputs(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs("SELECT input FROM response WHERE id = ?", [(id_,) for id_ in response_ids])

    def reasoning(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs(_SELECT_REASONING, [(id_,) for id_ in response_ids])

    def _select(
        self, statement: str, values: tuple[str | int, ...], ids: Sequence[str], of: type[T]
    ) -> list[T]:
        found: list[T] = []
        for group in padded(ids):
            row = self._connection.execute(statement + marks(1, len(group)), (*values, *group)).fetchone()
            found += msgspec.json.decode(row[0], type=list[of])  # type: ignore[valid-type]
        return found

    def _blobs(self, one: str, rows: Sequence[Row]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for count, values in chunks(rows):
            found += self._connection.execute(_side_by_side(one, count), values).fetchone()
        return found


class SqliteTurns:
    """Reads and removals, each on a thread and a connection of their own, so that no reader waits for a
    writer. All raise LedgerUnavailable when the database does not answer within `patience` seconds."""

    def __init__(self, url: str, *, patience: float = 1.8) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self._reading = DatabaseThread(url, "turns", patience)
        self._writing = DatabaseThread(url, "turns-removal", patience)

    async def read(self, license_id: str, now_ms: int, question: Callable[[TurnReader], T]) -> T:
        """What `question` makes of the licence's turns, or raises; it runs on the reading thread."""
        return await self._reading.ask(
            lambda connection: question(TurnReader(connection, license_id, now_ms))
        )

    async def find(self, license_id: str, now_ms: int, response_id: str) -> KeptTurn | None:
        """One turn, whole, unless it has expired."""
        return await self._reading.ask(lambda connection: _find(connection, license_id, now_ms, response_id))

    async def delete(self, license_id: str, response_id: str) -> bool:
        """Whether there was such a turn. What continues it stays."""
        values = (response_id, license_id)
        return await self._writing.ask(lambda connection: connection.execute(_DELETE, values).rowcount > 0)

    async def expired(self, before: int, after: ExpiredLeaf | None, limit: int) -> list[ExpiredLeaf]:
        """Turns that expired by then (Unix milliseconds) and that nothing continues, the oldest first, from
        `after` on."""
        place = (-1, "") if after is None else (after.expires_at, after.id)
        return await self._ask_expired(SELECT_EXPIRED, (*place, before, limit))

    async def expired_among(self, before: int, response_ids: Sequence[str]) -> list[ExpiredLeaf]:
        found: list[ExpiredLeaf] = []
        for group in padded(response_ids):
            statement = _SELECT_EXPIRED_AMONG + marks(1, len(group))
            found += await self._ask_expired(statement, (before, *group))
        return found

    async def remove_expired(self, before: int, response_ids: Sequence[str]) -> int:
        """Removes those that are still over and without a successor, in transactions of a bounded size. How
        many there were."""
        removed = 0
        for group in padded(response_ids):
            removed += await self._writing.ask(partial(_remove, before, group))
        return removed

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    async def _ask_expired(self, statement: str, values: tuple[str | int, ...]) -> list[ExpiredLeaf]:
        rows = await self._reading.ask(lambda connection: connection.execute(statement, values).fetchall())
        return [ExpiredLeaf(*row) for row in rows]


@cache
def _side_by_side(one: str, count: int) -> str:
    return f"SELECT {', '.join([f'({one})'] * count)}"


@cache
def _own_calls(count: int) -> str:
    return SELECT_OWN_CALLS.format(ids=", ".join(f"(?{number})" for number in range(3, 3 + count)))


def _find(connection: sqlite3.Connection, license_id: str, now_ms: int, response_id: str) -> KeptTurn | None:
    row = connection.execute(_SELECT_TURN, (license_id, now_ms, response_id)).fetchone()
    if row is None:
        return None
    found_id, previous_id, created_at, expires_at, answer_blob, context, input_, *paid = row
    charged, remaining, estimated, *counts = paid
    answer = turn_format.decode_answer(answer_blob)
    calls = connection.execute(_SELECT_CALLS, (response_id,)).fetchall()
    thoughts = connection.execute(_SELECT_REASONING, (response_id,)).fetchone()
    turn = Turn(
        id=found_id,
        previous=previous_id,
        status=answer.status,
        body=answer.body,
        input=turn_format.decode_input(input_),
        output=answer.output,
        messages=turn_format.decode_context(context),
        thoughts=() if thoughts is None else turn_format.decode_reasoning(thoughts[0]),
        calls={call_id: MadeCall(*made) for call_id, *made in calls},
    )
    return KeptTurn(turn, Bill(Usage(*counts), charged, remaining, bool(estimated)), created_at, expires_at)


def _remove(before: int, response_ids: Sequence[str], connection: sqlite3.Connection) -> int:
    statement = _DELETE_EXPIRED + marks(1, len(response_ids))
    return connection.execute(statement, (before, *response_ids)).rowcount


def _response_row(settlement: Settlement, stored: StoredTurn) -> Row:
    turn = stored.turn
    return (
        canonical_response_id(turn.id),
        settlement.charge.license_id,
        None if turn.previous is None else canonical_response_id(turn.previous),
        settlement.charge.hold_id,
        settlement.at,
        stored.expires_at,
        turn_format.encode_answer(turn),
        turn_format.encode_context(turn),
        turn_format.encode_input(turn),
    )


def _call_rows(license_id: str, turn: Turn) -> list[Row]:
    response_id = canonical_response_id(turn.id)
    return [
        (license_id, call_id, response_id, made.fingerprint, made.thoughts)
        for call_id, made in turn.calls.items()
    ]


def _reasoning_rows(turn: Turn) -> list[Row]:
    if not turn.thoughts:
        return []
    return [(canonical_response_id(turn.id), turn_format.encode_reasoning(turn.thoughts))]
