"""What an administrator's booking reads and writes of the ledger, inside the transaction of its other rows.

The gateway's own writer locks the same licences and lets the same rules decide; here are only the few rows
that no request waits for.
"""

from typing import Any

from msgspec.structs import asdict
from sqlalchemy import Connection, Row, select, update

from quantized.storage.many import Values, insert_many, update_many
from quantized.storage.records import (
    ENTRY_COLUMNS,
    Changes,
    EntryRow,
    HoldRow,
    LicenseRow,
    Needs,
    Rows,
    UserRow,
)
from quantized.storage.schema import hold, ledger_entry, usage_record, user_allowance
from quantized.storage.schema import license as license_table

_ENTRIES = select(*(ledger_entry.c[name] for name in ENTRY_COLUMNS))
_USERS = select(*(user_allowance.c[name] for name in UserRow.__struct_fields__))

_BOOKED = (
    "granted", "used", "held", "entries", "head", "open_holds", "requests_owed", "tokens_owed", "metered_at",
)  # fmt: skip


def charged_request(connection: Connection, license_id: str, name: str) -> tuple[str, str] | None:
    """(hold id, request id) of what a licence was charged for, by either. None where nothing was."""
    record = usage_record.c
    # A gateway's hold has the digits of its request, so that no index of requests is needed.
    candidates = (name, f"hold-{name.removeprefix('req-')}")
    statement = select(record.hold_id, record.request_id).where(
        record.license_id == license_id, record.hold_id.in_(candidates)
    )
    found = [(row.hold_id, row.request_id) for row in connection.execute(statement)]
    return next((ids for ids in found if name in ids), None)


def read_rows(connection: Connection, needs: Needs) -> Rows:
    """Locked until the transaction ends; licences in the order in which everybody locks them."""
    holds = {row.id: _hold(row) for row in connection.execute(_holds().where(hold.c.id.in_(needs.hold_ids)))}
    license_ids = {*needs.license_ids, *(row.license_id for row in holds.values())}
    table = license_table.c
    statement = (
        select(*(table[name] for name in LicenseRow.__struct_fields__))
        .where(table.id.in_(license_ids))
        .order_by(table.id)
        .with_for_update(key_share=True)
    )
    licenses = {row.id: _license(row) for row in connection.execute(statement)}
    # After the lock: what another transaction booked before it is seen.
    found = _entries(connection, needs) if needs.entry_ids or needs.refunds_of else []
    wanted = {*needs.users, *((row.license_id, row.user_id) for row in holds.values() if row.user_id)}
    users = {key: row for key in wanted if (row := read_user(connection, *key)) is not None}
    return Rows(licenses, holds, {entry.id: entry for entry in found if entry.id is not None}, users)


def _entries(connection: Connection, needs: Needs) -> list[EntryRow]:
    entry = ledger_entry.c
    refunds = (entry.kind == "refund") & entry.hold_id.in_(needs.refunds_of)
    wanted = entry.id.in_(needs.entry_ids) | refunds
    return [EntryRow(*row) for row in connection.execute(_ENTRIES.where(wanted))]


def read_user(connection: Connection, license_id: str, user_id: str) -> UserRow | None:
    """What the user has of an allowance; None where there never was one."""
    table = user_allowance.c
    row = connection.execute(_USERS.where(table.license_id == license_id, table.user_id == user_id)).first()
    return None if row is None else UserRow(*row)


def write_changes(connection: Connection, changes: Changes) -> None:
    """Licences, entries and users: a booking has nothing else."""
    insert_many(connection, ledger_entry, [asdict(entry) for entry in changes.entries])
    booked = [_license_values(row) for row in changes.licenses.values()]
    update_many(connection, license_table, ("id",), booked)
    for user in changes.users.values():
        connection.execute(
            update(user_allowance)
            .where(user_allowance.c.license_id == user.license_id, user_allowance.c.user_id == user.user_id)
            .values(used=user.used, held=user.held)
        )


def _license_values(row: LicenseRow) -> Values:
    values = {name: getattr(row, name) for name in _BOOKED}
    return {**values, "id": row.id, "head": bytes.fromhex(row.head) or None}


def page_of_entries(connection: Connection, license_id: str, after: int, limit: int) -> list[EntryRow]:
    """Of a licence, in their order, those after number `after`."""
    statement = (
        _ENTRIES.where(ledger_entry.c.license_id == license_id, ledger_entry.c.seq > after)
        .order_by(ledger_entry.c.seq)
        .limit(limit)
    )
    return [EntryRow(*row) for row in connection.execute(statement)]


def _holds() -> Any:
    receipt = usage_record.c
    return select(
        hold.c.id, hold.c.license_id, hold.c.amount, hold.c.state,
        receipt.charged, receipt.overrun, receipt.remaining, hold.c.tokens, hold.c.user_id,
    ).outerjoin_from(hold, usage_record, receipt.hold_id == hold.c.id)  # fmt: skip


def _hold(row: Row[Any]) -> HoldRow:
    return HoldRow(
        row.id, row.license_id, row.amount, row.state, row.charged, row.overrun, row.remaining, row.tokens,
        row.user_id,
    )  # fmt: skip


def _license(row: Row[Any]) -> LicenseRow:
    return LicenseRow(
        id=row.id,
        unlimited=row.unlimited,
        active=row.active,
        granted=row.granted,
        used=row.used,
        held=row.held,
        entries=row.entries,
        head="" if row.head is None else bytes(row.head).hex(),
        open_holds=row.open_holds,
        requests_owed=row.requests_owed,
        tokens_owed=row.tokens_owed,
        metered_at=row.metered_at,
    )
