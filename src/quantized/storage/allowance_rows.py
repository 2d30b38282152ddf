"""What users may use of a licence, as administrators read and set it, inside the transaction of the act.

Only `cap` is theirs to write. What was used and is held the ledger writes, which leaves `cap` alone, so that
neither has to wait for the other.
"""

from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Select, func, insert, select, update

from quantized.storage.records import UserRow
from quantized.storage.schema import license as license_table
from quantized.storage.schema import license_type, user_allowance

_ROWS = select(*(user_allowance.c[name] for name in UserRow.__struct_fields__))
_DEFAULT = select(func.coalesce(license_table.c.user_allowance, license_type.c.user_allowance)).join_from(
    license_table, license_type
)


class Allowance(Struct, frozen=True):
    """`own` is the user's own, `applies` the one that counts; None where there is none."""

    license_id: str
    user_id: str
    own: int | None
    applies: int | None
    used: int
    held: int


def find_allowance(connection: Connection, license_id: str, user_id: str) -> Allowance | None:
    """None of a user who never had one."""
    row = connection.execute(_of(license_id, user_id)).first()
    return None if row is None else _allowance(UserRow(*row), _default(connection, license_id))


def page_of_allowances(connection: Connection, license_id: str, after: str, limit: int) -> list[Allowance]:
    """By the users' ids, those after one."""
    table = user_allowance.c
    statement = _ROWS.where(table.license_id == license_id, table.user_id > after)
    rows = connection.execute(statement.order_by(table.user_id).limit(limit)).all()
    default = _default(connection, license_id)
    return [_allowance(UserRow(*row), default) for row in rows]


def set_allowance(connection: Connection, license_id: str, user_id: str, cap: int | None) -> Allowance:
    """The user's own; None for what the licence or its type says. As it is then."""
    # Nobody else administers meanwhile, and under the licence's lock no request adds the row.
    locked = select(license_table.c.id).where(license_table.c.id == license_id)
    connection.execute(locked.with_for_update(key_share=True)).first()
    table = user_allowance.c
    its = (table.license_id == license_id, table.user_id == user_id)
    if connection.execute(update(user_allowance).where(*its).values(cap=cap)).rowcount == 0:
        connection.execute(insert(user_allowance).values(license_id=license_id, user_id=user_id, cap=cap))
    row = connection.execute(_of(license_id, user_id)).one()
    return _allowance(UserRow(*row), _default(connection, license_id))


def _of(license_id: str, user_id: str) -> Select[Any]:
    table = user_allowance.c
    return _ROWS.where(table.license_id == license_id, table.user_id == user_id)


def _default(connection: Connection, license_id: str) -> int | None:
    found: int | None = connection.execute(_DEFAULT.where(license_table.c.id == license_id)).scalar_one()
    return found


def _allowance(row: UserRow, default: int | None) -> Allowance:
    applies = default if row.cap is None else row.cap
    return Allowance(row.license_id, row.user_id, row.cap, applies, row.used, row.held)
