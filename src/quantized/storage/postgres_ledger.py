"""The ledger's statements on PostgreSQL: one transaction for a whole batch, in two round trips.

The first begins it, locks the licences and reads; the second writes everything by one statement and commits.

What makes it exact on any number of machines: nobody changes a licence, its holds or its entries without the
lock on the licence's row. Locks are taken in the order of the licences' ids, so that no two batches wait for
each other, and holds are read by a statement that begins when they are held: one that had begun before would
see the licence as it is and its holds as they were.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec
import psycopg
from psycopg import errors
from psycopg.pq.abc import PGresult

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable
from quantized.storage.postgres import ANSWER_SECONDS, LOCK_SECONDS, STATEMENT_SECONDS, check_url, connect
from quantized.storage.postgres_json import text_array
from quantized.storage.postgres_pipeline import Pipeline, Statement, Step
from quantized.storage.postgres_writing import writing
from quantized.storage.records import (
    ENTRY_COLUMNS,
    Changes,
    EntryRow,
    HoldRow,
    LicenseRow,
    Needs,
    Rejected,
    Rows,
    Unreached,
    UserKey,
    UserRow,
    writing_seconds,
)

T = TypeVar("T")

_TRIES = 3
"""Of one transaction that others got in the way of."""

_HURRIED_MS = 5_000
"""How long nobody waits for locked licences after one was waited for in vain. Who works in the usual way has
one for milliseconds."""

_LARGE = 1_000_000
"""Bytes that a statement carries and that are worth a word about its time."""

# Rows are found by their keys, whatever the planner believes about tables that were empty a minute ago. A
# server that may forget the last commits when it dies would forget holds that gateways go on by. And who is
# paused between reading and writing does not keep the locks for longer than others wait for them.
_SESSION = (
    "SET idle_in_transaction_session_timeout = '1s';"
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;"
    " SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan;"
    " SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)
_BEGIN = Statement(b"begin", b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
_ROLLBACK = Statement(b"rollback", b"ROLLBACK")

_WANTED = (
    b" FROM license WHERE id = ANY"
    b"($1::text[] || ARRAY(SELECT license_id FROM hold WHERE id = ANY ($2::text[])))"
)
_LOCKED = (
    b"SELECT json_agg(json_build_array(id, unlimited, active, granted, used, held, entries,"
    b" coalesce(encode(head, 'hex'), ''), open_holds, requests_owed, tokens_owed, metered_at)),"
    b" pg_current_xact_id()::text FROM (SELECT *" + _WANTED + b" ORDER BY id FOR NO KEY UPDATE"
)
_LOCK = Statement(b"lock", _LOCKED + b") AS locked")
_LOCK_FREE = Statement(b"lock free", _LOCKED + b" SKIP LOCKED) AS locked")
_ALL = Statement(b"all", b"SELECT json_agg(id)" + _WANTED)
_HOLDS = Statement(
    b"holds",
    b"SELECT json_agg(json_build_array(h.id, h.license_id, h.amount, h.state,"
    b" u.charged, u.overrun, u.remaining, h.tokens, h.user_id))"
    b" FROM hold AS h LEFT JOIN usage_record AS u ON u.hold_id = h.id WHERE h.id = ANY ($1::text[])",
)
_USERS = Statement(
    b"users",
    b"SELECT json_agg(json_build_array(u.license_id, u.user_id, u.cap, u.used, u.held))"
    b" FROM unnest($1::text[], $2::text[]) AS wanted (license_id, user_id) CROSS JOIN LATERAL"
    b" (SELECT * FROM user_allowance AS one WHERE one.license_id = wanted.license_id"
    b" AND one.user_id = wanted.user_id LIMIT 1) AS u",
)
_ENTRY_CELLS = ", ".join(
    f"encode({column}, 'base64')" if column in ("record_hash", "hash") else column for column in ENTRY_COLUMNS
)
_ENTRIES = Statement(
    b"entries",
    f"SELECT json_agg(json_build_array({_ENTRY_CELLS})) FROM"  # noqa: S608  names of ours
    " (SELECT * FROM ledger_entry WHERE id = ANY ($1::text[]) UNION ALL"
    " SELECT * FROM ledger_entry WHERE kind = 'refund' AND hold_id = ANY ($2::text[])) AS entry".encode(),
)
_TIME = Statement(b"time", b"SELECT set_config('statement_timeout', $1, true)")
_STATUS = Statement(b"status", b"SELECT pg_xact_status($1::xid8)")


_licenses = msgspec.json.Decoder(list[LicenseRow])
_holds = msgspec.json.Decoder(list[HoldRow])
_entries = msgspec.json.Decoder(list[EntryRow])
_users = msgspec.json.Decoder(list[UserRow])
_ids = msgspec.json.Decoder(list[str])


class _Locked(LedgerUnavailable):
    """Somebody else's locks were waited for in vain."""


class PostgresLedgerStore:
    """`storage.records.LedgerStore` over one connection, opened when first needed and again after a failure.

    Whether a transaction is durable is not for whoever says it to choose: the server may die alone, and would
    forget holds that gateways which live on have asked providers by.
    """

    def __init__(self, url: str, *, owner: str | None = None, busy_seconds: float = LOCK_SECONDS) -> None:
        """`owner` is the process that takes holds here; `busy_seconds`: how long to wait for others' locks.
        Raises DatabaseUnusable for a URL that cannot work."""
        check_url(url)
        self._url = url
        self._owner = owner
        self._busy_seconds = busy_seconds
        self._pipeline: Pipeline | None = None
        self._in_doubt: bytes | None = None
        self._hurried_until = 0
        """Unix milliseconds: by then no transaction waits for locked licences that may be left out."""

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,  # noqa: ARG002  see above
        committed: Callable[[], None] = lambda: None,  # noqa: ARG002  what is committed here is durable
    ) -> None:
        failure: Exception = LedgerUnavailable(cause="others were in the way")
        for _ in range(_TRIES):
            hurried = needs.partial and now_ms < self._hurried_until
            try:
                self._attempt(partial(self._transact, needs, decide, now_ms, hurried))
                return
            except _Locked as locked:
                if hurried or not needs.partial:
                    raise
                failure = locked
                self._hurried_until = now_ms + _HURRIED_MS
            except (errors.SerializationFailure, errors.DeadlockDetected) as error:
                failure = LedgerUnavailable(cause=f"{type(error).__name__}: {error}")
            except errors.UniqueViolation as error:
                # Either somebody wrote the same meanwhile, which is known when it has been read again, or
                # this never will be taken.
                failure = Rejected(str(error))
        raise failure

    def transact_at_once(self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int) -> bool:  # noqa: ARG002  a server always lets one wait
        return False

    def close(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _attempt(self, work: Callable[[Pipeline], T]) -> T:
        """Raises LedgerUnavailable, Rejected, and those of psycopg's errors after which trying again may
        help."""
        try:
            pipeline = self._open()
        except (psycopg.Error, DatabaseUnusable, OSError) as error:
            self.close()
            raise Unreached(cause=f"{type(error).__name__}: {error}") from error
        try:
            return work(pipeline)
        except (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation):
            raise
        except (
            psycopg.IntegrityError,
            psycopg.DataError,
            errors.ProgramLimitExceeded,
            ValueError,
            OverflowError,
        ) as error:
            raise Rejected(str(error)) from error
        except errors.LockNotAvailable as error:
            raise _Locked(cause=f"{type(error).__name__}: {error}") from error
        except errors.QueryCanceled as error:
            # The server is well, and says so.
            raise LedgerUnavailable(cause=f"{type(error).__name__}: {error}") from error
        except (psycopg.Error, OSError) as error:
            self.close()
            raise LedgerUnavailable(cause=f"{type(error).__name__}: {error}") from error

    def _open(self) -> Pipeline:
        if self._pipeline is not None and not self._pipeline.alive():
            self.close()
        if self._pipeline is None:
            connection = connect(self._url, lock_seconds=self._busy_seconds)
            connection.execute(_SESSION)
            self._pipeline = Pipeline(connection, ANSWER_SECONDS)
        if self._in_doubt is not None:
            self._await(self._pipeline, self._in_doubt)
        return self._pipeline

    def _await(self, pipeline: Pipeline, transaction: bytes) -> None:
        """Nothing is said after a commit that was not heard of before the server has made up its mind about
        that: what it is about to write would otherwise come after what is said now."""
        try:
            (result,) = pipeline.run([Step(_STATUS, (transaction,))])
        except psycopg.DataError:
            pass  # another server, which never heard of it
        else:
            if result.get_value(0, 0) == b"in progress":
                raise psycopg.OperationalError("a transaction of before is still under way")
        self._in_doubt = None

    def _transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        now_ms: int,
        hurried: bool,
        pipeline: Pipeline,
    ) -> None:
        try:
            rows, transaction = _read(pipeline, needs, hurried)
            steps = writing(decide(rows), now_ms, self._owner)
            self._in_doubt = transaction
            _run(pipeline, steps)
        except BaseException:
            self._roll_back(pipeline)
            raise
        self._in_doubt = None

    def _roll_back(self, pipeline: Pipeline) -> None:
        with suppress(psycopg.Error):
            pipeline.run([Step(_ROLLBACK)])
            self._in_doubt = None


def _run(pipeline: Pipeline, steps: list[Step]) -> None:
    """What writes large values is given the time for it."""
    size = sum([len(value) for step in steps for value in step.values if value is not None])
    if size < _LARGE:
        pipeline.run(steps)
        return
    longer = writing_seconds(size)
    time = Step(_TIME, (b"%d" % round((STATEMENT_SECONDS + longer) * 1000),))
    pipeline.run([time, *steps], ANSWER_SECONDS + longer)


def _read(pipeline: Pipeline, needs: Needs, hurried: bool) -> tuple[Rows, bytes | None]:
    """Also the transaction's number."""
    hold_ids = text_array(needs.hold_ids)
    wanted = (text_array(needs.license_ids), hold_ids)
    steps = [Step(_BEGIN), Step(_LOCK_FREE if hurried else _LOCK, wanted)]
    if hurried:
        steps.append(Step(_ALL, wanted))
    if needs.hold_ids:
        steps.append(Step(_HOLDS, (hold_ids,)))
    if needs.entry_ids or needs.refunds_of:
        steps.append(Step(_ENTRIES, (text_array(needs.entry_ids), text_array(needs.refunds_of))))
    _, locked, *others = pipeline.run(steps)
    licenses = {row.id: row for row in _found(locked, _licenses)}
    left_out = {*_found(others.pop(0), _ids)} - licenses.keys() if hurried else set()
    found = others.pop(0) if needs.hold_ids else None
    holds = [] if found is None else _found(found, _holds)
    entries = _found(others[0], _entries) if others else []
    rows = Rows(
        licenses=licenses,
        # A hold that was committed between the two statements counts as said after this batch.
        holds={row.id: row for row in holds if row.license_id in licenses},
        entries={row.id: row for row in entries if row.id is not None},
        users=_read_users(pipeline, {*needs.users, *_users_of(holds)}),
        locked=frozenset(left_out | {row.id for row in holds if row.license_id in left_out}),
    )
    return rows, locked.get_value(0, 1)


def _users_of(holds: list[HoldRow]) -> Iterator[UserKey]:
    for row in holds:
        if row.user_id is not None:
            yield row.license_id, row.user_id


def _read_users(pipeline: Pipeline, users: set[UserKey]) -> dict[UserKey, UserRow]:
    """Under their licences' locks. A round trip of its own: which they are, the holds have told; and few
    requests count for anybody's allowance."""
    if not users:
        return {}
    license_ids, user_ids = zip(*sorted(users), strict=True)
    (found,) = pipeline.run([Step(_USERS, (text_array(license_ids), text_array(user_ids)))])
    return {(row.license_id, row.user_id): row for row in _found(found, _users)}


def _found(result: PGresult, decoder: msgspec.json.Decoder[T]) -> T:
    return decoder.decode(result.get_value(0, 0) or b"[]")
