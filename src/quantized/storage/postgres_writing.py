"""What a batch of the ledger writes on PostgreSQL, in one statement over all tables."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from quantized.storage.postgres_json import blob_array, cells, encode, insertion, text_array
from quantized.storage.postgres_pipeline import Statement, Step
from quantized.storage.records import ENTRY_COLUMNS, USAGE_COLUMNS, Changes, HoldState
from quantized.storage.turns import (
    BLOB_COLUMNS,
    CALL_COLUMNS,
    REASONING_COLUMNS,
    RESPONSE_COLUMNS,
    turn_rows,
)

_COMMIT = Statement(b"commit", b"COMMIT")


class _Part(NamedTuple):
    """One table's part of the writing statement. `{}` in `sql` are its parameters, as many as `binary` has
    places, which says which of them are in the binary format."""

    name: str
    sql: str
    binary: tuple[bool, ...] = (False,)


_HOLD_COLUMNS = (
    "id", "license_id", "amount", "state", "reason", "taken_at", "expires_at", "ended_at", "request_id",
    "key_id", "provider", "model", "owner", "tokens", "user_id",
)  # fmt: skip
_NEW_HOLDS = _Part("new_hold", insertion("hold", _HOLD_COLUMNS))
_ENDED_HOLDS = _Part(
    "ended_hold",
    "UPDATE hold SET state = row ->> 1, reason = row ->> 2, ended_at = (row ->> 3)::bigint"
    " FROM jsonb_array_elements({}::jsonb) AS row WHERE hold.id = row ->> 0",
)
_NEW_ENTRIES = _Part("new_entry", insertion("ledger_entry", ENTRY_COLUMNS))
_NEW_USAGE = _Part("new_usage", insertion("usage_record", USAGE_COLUMNS))
_NEW_RESPONSES = _Part(
    "new_response",
    f"INSERT INTO response ({', '.join((*RESPONSE_COLUMNS, *BLOB_COLUMNS))})"  # noqa: S608  names of ours
    f" SELECT {cells(RESPONSE_COLUMNS)}, {', '.join(BLOB_COLUMNS)} FROM ROWS FROM"
    " (jsonb_array_elements({}::jsonb), unnest({}::bytea[]), unnest({}::bytea[]), unnest({}::bytea[]))"
    f" AS turn (row, {', '.join(BLOB_COLUMNS)})",
    (False, True, True, True),
)
_NEW_CALLS = _Part("new_call", insertion("response_call", CALL_COLUMNS))
_NEW_REASONING = _Part(
    "new_reasoning",
    f"INSERT INTO response_reasoning ({', '.join(REASONING_COLUMNS)})"  # noqa: S608  names of ours
    " SELECT * FROM unnest({}::text[], {}::bytea[])",
    (False, True),
)
_LICENSES = _Part(
    "license",
    "UPDATE license SET granted = (row ->> 3)::bigint, used = (row ->> 4)::bigint,"
    " held = (row ->> 5)::bigint, entries = (row ->> 6)::bigint, head = decode(nullif(row ->> 7, ''), 'hex'),"
    " open_holds = (row ->> 8)::bigint, requests_owed = (row ->> 9)::bigint,"
    " tokens_owed = (row ->> 10)::bigint, metered_at = (row ->> 11)::bigint"
    " FROM jsonb_array_elements({}::jsonb) AS row WHERE license.id = row ->> 0",
)

_USED_BY = _Part(
    "used_by",
    insertion("user_allowance", ("license_id", "user_id", "used", "held"))
    + " ON CONFLICT (license_id, user_id) DO UPDATE SET used = excluded.used, held = excluded.held",
)

_Written = tuple[_Part, list[bytes]]
"""A part and its parameters."""

_OPEN: tuple[HoldState, None, None] = ("open", None, None)


def writing(changes: Changes, now_ms: int, owner: str | None) -> list[Step]:
    """Up to the commit. `owner`: the process that takes the holds."""
    parts = [*_hold_parts(changes, now_ms, owner)]
    if changes.entries:
        parts.append((_NEW_ENTRIES, [encode(changes.entries)]))
    if changes.settlements:
        parts.append((_NEW_USAGE, [encode([settlement.record for settlement in changes.settlements])]))
        parts += _turn_parts(changes)
    if changes.users:
        users = [(row.license_id, row.user_id, row.used, row.held) for row in changes.users.values()]
        parts.append((_USED_BY, [encode(users)]))
    if changes.licenses:
        parts.append((_LICENSES, [encode([*changes.licenses.values()])]))
    if not parts:
        return [Step(_COMMIT)]
    statement = _statement(tuple([part for part, _ in parts]))
    return [Step(statement, [value for _, values in parts for value in values]), Step(_COMMIT)]


def _hold_parts(changes: Changes, now_ms: int, owner: str | None) -> Iterator[_Written]:
    """The parts of one statement see none of each other's rows: a hold that ends in the batch in which it was
    taken is written as it ended."""
    ended = {id_: (state, reason, now_ms) for (state, reason), ids in changes.ended.items() for id_ in ids}
    new = [
        (
            o.id, o.license_id, amount, state, reason, o.taken_at, o.expires_at, ended_at, o.request_id,
            o.key_id, o.provider, o.model, owner, o.tokens, o.user_id,
        )
        for o, amount in changes.holds
        for state, reason, ended_at in (ended.pop(o.id, _OPEN),)
    ]  # fmt: skip
    if new:
        yield _NEW_HOLDS, [encode(new)]
    if ended:
        yield _ENDED_HOLDS, [encode([(id_, *end) for id_, end in ended.items()])]


def _turn_parts(changes: Changes) -> Iterator[_Written]:
    turns = turn_rows(changes.settlements)
    if turns.responses:
        yield _NEW_RESPONSES, [encode(turns.responses), *map(blob_array, zip(*turns.blobs, strict=True))]
    if turns.calls:
        yield _NEW_CALLS, [encode(turns.calls)]
    if turns.reasoning:
        response_ids, blobs = zip(*turns.reasoning, strict=True)
        yield _NEW_REASONING, [text_array(response_ids), blob_array(blobs)]


@cache
def _statement(parts: tuple[_Part, ...]) -> Statement:
    """All parts as one statement, the last as its main one. There are only so many combinations."""
    binary = [flag for part in parts for flag in part.binary]
    numbers = iter(range(1, len(binary) + 1))
    texts = [part.sql.format(*(f"${next(numbers)}" for _ in part.binary)) for part in parts]
    before = ", ".join(f"{part.name} AS ({text})" for part, text in zip(parts, texts[:-1], strict=False))
    return Statement(
        name="+".join(part.name for part in parts).encode(),
        sql=(f"WITH {before} {texts[-1]}" if before else texts[-1]).encode(),
        binary=frozenset(place for place, flag in enumerate(binary) if flag),
    )
