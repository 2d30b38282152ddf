"""What was used: usage records one by one, or added up. Statements that only read."""

from typing import Any

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Integer,
    Label,
    Row,
    Select,
    Table,
    cast,
    desc,
    func,
    select,
    tuple_,
)

from quantized.core.usage import Grouping
from quantized.storage.schema import api_key, license_type, usage_record
from quantized.storage.schema import license as license_table

_DAY_MS = 86_400_000


class UsageFilter(Struct, frozen=True):
    """What to count. Ids are whole; times are Unix milliseconds, `since` included, `until` not."""

    license_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    since: int | None = None
    until: int | None = None
    institution_id: str | None = None
    user_id: str | None = None


class UsageTotal(Struct, frozen=True):
    """One group's sum. `group` is a model's name or the id of a key, a licence or a user ("" for none), and
    `label` what that is called; for a day it is the day's beginning in Unix milliseconds (UTC). Amounts are
    micro-credits, the rest are tokens."""

    group: str | int
    label: str
    requests: int
    input: int
    output: int
    charged: int
    overrun: int
    estimated: int
    """Requests whose tokens we counted ourselves."""


class UsageEntry(Struct, frozen=True):
    """One request. `input` and `output` are all tokens of their side, `cached_read` and `reasoning` a part of
    them; amounts are micro-credits, times Unix milliseconds."""

    created_at: int
    request_id: str
    hold_id: str
    license_id: str
    key_id: str
    user_id: str | None
    provider: str
    model: str
    surface: str
    outcome: str
    input: int
    cached_read: int
    output: int
    reasoning: int
    charged: int
    overrun: int
    estimated: bool
    first_byte_ms: int | None
    duration_ms: int


_columns = usage_record.c
_input = (
    _columns.input
    + _columns.cached_read
    + _columns.cache_write
    + _columns.cache_write_1h
    + _columns.input_audio
)
_output = _columns.output + _columns.reasoning + _columns.output_audio + _columns.output_image

_ENTRIES = select(
    _columns.created_at,
    _columns.request_id,
    _columns.hold_id,
    _columns.license_id,
    _columns.key_id,
    _columns.user_id,
    _columns.provider,
    _columns.model,
    _columns.surface,
    _columns.outcome,
    _input.label("input"),
    _columns.cached_read,
    _output.label("output"),
    _columns.reasoning,
    _columns.charged,
    _columns.overrun,
    _columns.estimated,
    _columns.first_byte_ms,
    _columns.duration_ms,
).order_by(_columns.created_at, _columns.hold_id)


def read_totals(connection: Connection, by: Grouping, wanted: UsageFilter) -> list[UsageTotal]:
    """Sums by group: days in their order, all else by what was charged, the most first."""
    return [_total(row) for row in connection.execute(_where(_totals(by), wanted))]


def read_entries(
    connection: Connection, wanted: UsageFilter, after: tuple[int, str] | None, limit: int
) -> list[UsageEntry]:
    """Each request, the oldest first: those after (time, hold id) of the last one seen."""
    statement = _where(_ENTRIES, wanted).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(_columns.created_at, _columns.hold_id) > tuple_(*after))
    return [UsageEntry(*row) for row in connection.execute(statement)]


def _totals(by: Grouping) -> Select[Any]:
    sums = (
        func.count().label("requests"),
        _sum(_input).label("input"),
        _sum(_output).label("output"),
        _sum(_columns.charged).label("charged"),
        _sum(_columns.overrun).label("overrun"),
        _sum(cast(_columns.estimated, Integer)).label("estimated"),
    )
    match by:
        case "day":
            day = (_columns.created_at // _DAY_MS) * _DAY_MS
            return select(day.label("group"), *sums).group_by("group").order_by("group")
        case "model":
            model = _columns.model
            return select(model.label("group"), *sums).group_by(model).order_by(desc("charged"), model)
        case "user":
            user: ColumnElement[Any] = func.coalesce(_columns.user_id, "")
            return select(user.label("group"), *sums).group_by("group").order_by(desc("charged"), "group")
        case "key":
            # Of keys, only signed tokens that ended long ago are removed.
            called = func.coalesce(api_key.c.prefix, "ended token")
            return _by_owner(_columns.key_id, api_key, called, sums)
        case "license":
            return _by_owner(_columns.license_id, license_table, license_table.c.unique_id, sums)


def _by_owner(
    group: Column[Any], table: Table, alias: ColumnElement[Any], sums: tuple[Label[Any], ...]
) -> Select[Any]:
    return (
        select(group.label("group"), alias.label("alias"), table.c.name.label("name"), *sums)
        .outerjoin_from(usage_record, table, table.c.id == group)
        .group_by(group, "alias", table.c.name)
        .order_by(desc("charged"), group)
    )


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL adds big integers up to a numeric; it fits one again.
    return cast(func.sum(column), BigInteger)


def _total(row: Row[Any]) -> UsageTotal:
    fields = row._mapping
    label = " ".join(filter(None, (fields.get("alias"), fields.get("name"))))
    return UsageTotal(
        group=row.group,
        label=label,
        requests=row.requests,
        input=row.input,
        output=row.output,
        charged=row.charged,
        overrun=row.overrun,
        estimated=row.estimated,
    )


def _where(statement: Select[Any], wanted: UsageFilter) -> Select[Any]:
    if wanted.license_id is not None:
        statement = statement.where(_columns.license_id == wanted.license_id)
    if wanted.key_id is not None:
        statement = statement.where(_columns.key_id == wanted.key_id)
    if wanted.model is not None:
        statement = statement.where(_columns.model == wanted.model)
    if wanted.user_id is not None:
        statement = statement.where(_columns.user_id == wanted.user_id)
    if wanted.institution_id is not None:
        owned = (
            select(license_table.c.id)
            .join(license_type)
            .where(license_type.c.institution_id == wanted.institution_id)
        )
        statement = statement.where(_columns.license_id.in_(owned))
    if wanted.since is not None:
        statement = statement.where(_columns.created_at >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(_columns.created_at < wanted.until)
    return statement
