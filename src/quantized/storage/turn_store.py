"""Stored turns, whichever database they are in: reads and removals off the event loop. The ledger writes
them, with their charges."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from quantized.core.turns import KeptTurn, MadeCall, Turn
from quantized.core.usage import Bill, Usage
from quantized.storage import turn_format
from quantized.storage.bulk import marks, padded
from quantized.storage.database import Connection, Value
from quantized.storage.database_thread import DatabaseThread
from quantized.storage.turns import CallLink, ExpiredLeaf, Link, Sizes, call_key

T = TypeVar("T")


class Query(NamedTuple):
    """A SELECT of these `columns`; `text` has `{}` in their place, and each value is marked `?`."""

    columns: str
    text: str


_LIVES = " license_id = ? AND (expires_at IS NULL OR expires_at > ?)"
CHAIN = Query(
    "id, previous_id, depth, size",
    "WITH RECURSIVE chain (id, previous_id, depth, size) AS ("  # noqa: S608  texts of ours
    f" SELECT id, previous_id, 1, length(context) FROM response WHERE{_LIVES} AND id = ?"
    " UNION ALL"
    " SELECT r.id, r.previous_id, chain.depth + 1, chain.size + length(r.context)"
    " FROM chain JOIN response AS r ON r.id = chain.previous_id"
    " WHERE r.license_id = ? AND chain.depth <= ? AND chain.size <= ?"
    ") SELECT {} FROM chain",
)
_SIZES = Query(
    "id, length(answer), length(input)",
    f"SELECT {{}} FROM response WHERE{_LIVES} AND id IN ",  # noqa: S608  texts of ours
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


class TurnReader(ABC):
    """Questions about what one licence has stored, to one connection. Blocking. What has expired is not
    there, other than as the beginning of what has not."""

    def __init__(self, connection: Any, license_id: str, now_ms: int) -> None:
        """`connection` is the driver's own."""
        self._connection = connection
        self._license_id = license_id
        self._now = now_ms

    def chain(self, response_id: str, *, turns: int, size: int) -> list[Link]:
        """The turn and those before it, the last first, and no more of them than it takes to see that one of
        the bounds is exceeded. Loads nothing of what they hold. Empty where there is no such turn."""
        if not _possible(response_id):
            return []
        values = (self._license_id, self._now, response_id, self._license_id, turns, size)
        return sorted(self._select(CHAIN, values, Link), key=lambda link: link.depth)

    def sizes(self, response_ids: Sequence[str]) -> list[Sizes]:
        """Of those that exist."""
        found: list[Sizes] = []
        for group in padded([*filter(_possible, response_ids)]):
            query = _SIZES._replace(text=_SIZES.text + marks(1, len(group)))
            found += self._select(query, (self._license_id, self._now, *group), Sizes)
        return found

    @abstractmethod
    def own_calls(self, call_ids: Sequence[str]) -> list[CallLink]:
        """The calls after some reasoning that one answer alone has made, expired ones counted."""

    # The blobs of responses and calls that one of the above found; None for what has gone since.

    def contexts(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs("SELECT context FROM response WHERE id = ?", response_ids)

    def answers(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs("SELECT answer FROM response WHERE id = ?", response_ids)

    def inputs(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs("SELECT input FROM response WHERE id = ?", response_ids)

    def reasoning(self, response_ids: Sequence[str]) -> list[bytes | None]:
        return self._blobs(_SELECT_REASONING, response_ids)

    @abstractmethod
    def _select(self, query: Query, values: Sequence[Value], of: type[T]) -> list[T]:
        """Each row as a struct with its columns as fields."""

    @abstractmethod
    def _blobs(self, one: str, ids: Sequence[str]) -> list[bytes | None]:
        """What the statement `one` finds for each id."""


class TurnStore:
    """Reads and removals, each on a thread and a connection of their own, so that no reader waits for a
    writer. All raise LedgerUnavailable when the database does not answer within `patience` seconds."""

    def __init__(self, url: str, reader: type[TurnReader], *, patience: float = 1.8) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self._reader = reader
        self._reading = DatabaseThread(url, "turns", patience)
        self._writing = DatabaseThread(url, "turns-removal", patience)

    async def read(self, license_id: str, now_ms: int, question: Callable[[TurnReader], T]) -> T:
        """What `question` makes of the licence's turns, or raises; it runs on the reading thread."""
        return await self._reading.ask(
            lambda connection: question(self._reader(connection, license_id, now_ms))
        )

    async def find(self, license_id: str, now_ms: int, response_id: str) -> KeptTurn | None:
        """One turn, whole, unless it has expired."""
        if not _possible(response_id):
            return None
        statements = [self._statement(text) for text in (_SELECT_TURN, _SELECT_CALLS, _SELECT_REASONING)]
        return await self._reading.ask(partial(_find, statements, license_id, now_ms, response_id))

    async def delete(self, license_id: str, response_id: str) -> bool:
        """Whether there was such a turn. What continues it stays."""
        return _possible(response_id) and await self._remove(_DELETE, (response_id, license_id)) > 0

    async def expired(self, before: int, after: ExpiredLeaf | None, limit: int) -> list[ExpiredLeaf]:
        """Turns that expired by then (Unix milliseconds) and that nothing continues, the oldest first, from
        `after` on."""
        place = (-1, "") if after is None else (after.expires_at, after.id)
        return await self._expired(SELECT_EXPIRED, (*place, before, limit))

    async def expired_among(self, before: int, response_ids: Sequence[str]) -> list[ExpiredLeaf]:
        found: list[ExpiredLeaf] = []
        for group in padded(response_ids):
            found += await self._expired(_SELECT_EXPIRED_AMONG + marks(1, len(group)), (before, *group))
        return found

    async def remove_expired(self, before: int, response_ids: Sequence[str]) -> int:
        """Removes those that are still over and without a successor, in transactions of a bounded size. How
        many there were."""
        removed = 0
        for group in padded(response_ids):
            removed += await self._remove(_DELETE_EXPIRED + marks(1, len(group)), (before, *group))
        return removed

    def close(self) -> None:
        self._reading.close()
        self._writing.close()

    async def _expired(self, text: str, values: Sequence[Value]) -> list[ExpiredLeaf]:
        statement = self._statement(text)
        rows = await self._reading.ask(lambda connection: connection.execute(statement, values).fetchall())
        return [ExpiredLeaf(*row) for row in rows]

    async def _remove(self, text: str, values: Sequence[Value]) -> int:
        statement = self._statement(text)
        return await self._writing.ask(lambda connection: connection.execute(statement, values).rowcount)

    def _statement(self, text: str) -> str:
        return self._reading.statement(text)


def _possible(response_id: str) -> bool:
    """Whether there can be such an id at all: callers name them, and not every database takes every text."""
    return "\0" not in response_id


def _find(
    statements: Sequence[str], license_id: str, now_ms: int, response_id: str, connection: Connection
) -> KeptTurn | None:
    select_turn, select_calls, select_reasoning = statements
    row = connection.execute(select_turn, (license_id, now_ms, response_id)).fetchone()
    if row is None:
        return None
    found_id, previous_id, created_at, expires_at, answer_blob, context, input_, *paid = row
    charged, remaining, estimated, *counts = paid
    answer = turn_format.decode_answer(answer_blob)
    calls = connection.execute(select_calls, (response_id,)).fetchall()
    thoughts = connection.execute(select_reasoning, (response_id,)).fetchone()
    names = {call_key(item.call_id): item.call_id for item in answer.output if item.call_id is not None}
    turn = Turn(
        id=found_id,
        previous=previous_id,
        status=answer.status,
        body=answer.body,
        input=turn_format.decode_input(input_),
        output=answer.output,
        messages=turn_format.decode_context(context),
        thoughts=() if thoughts is None else turn_format.decode_reasoning(thoughts[0]),
        calls={names.get(key, key): MadeCall(*made) for key, *made in calls},
    )
    return KeptTurn(turn, Bill(Usage(*counts), charged, remaining, bool(estimated)), created_at, expires_at)
