"""Thousands of rows in few statements, on both databases: every value comes back as it was given."""

from typing import Any

from sqlalchemy import select

from quantized.storage import schema
from quantized.storage.engine import open_engine, reading
from quantized.storage.many import insert_many, update_many

ODD = ("", "\\x00", '"', "'; --", "%s {} ?", "\u2028\U0001f600", "a\nb\t\\")


TABLE = schema.admin_key


def admin_key(number: int) -> dict[str, Any]:
    return {
        "id": f"adm-{number}",
        "digest": bytes([number % 256, 0, 92, 255, number // 256]),
        "prefix": "sk",
        "name": ODD[number % len(ODD)],
        "role": "operator",
        "institution_id": None,
        "active": number % 2 == 0,
        "expires_at": None if number % 3 else 2**53 + number,
        "created_at": number,
        "created_by": "root@here",
        "rotated_from": None,
    }


def read(url: str) -> dict[str, dict[str, Any]]:
    with reading(open_engine(url)) as connection:
        rows = connection.execute(select(*(TABLE.c[name] for name in admin_key(0))))
        return {row.id: dict(row._mapping) for row in rows}


def test_rows_come_back_as_they_were_given(database_url: str) -> None:
    rows = [admin_key(number) for number in range(1_500)]
    with open_engine(database_url).begin() as connection:
        insert_many(connection, TABLE, rows)
        insert_many(connection, TABLE, [])
    assert read(database_url) == {row["id"]: row for row in rows}


def test_only_the_rows_that_are_meant_change(database_url: str) -> None:
    rows = [admin_key(number) for number in range(300)]
    new = {"name": "new", "active": False, "expires_at": None, "digest": b""}
    changed = [{"id": row["id"], **new, "digest": row["digest"][::-1]} for row in rows[::3]]
    with open_engine(database_url).begin() as connection:
        insert_many(connection, TABLE, rows)
        update_many(connection, TABLE, ("id",), changed, where="admin_key.active")
        update_many(connection, TABLE, ("id",), [])
    wanted = {row["id"]: row for row in rows}
    for change in changed:
        if wanted[change["id"]]["active"]:
            wanted[change["id"]] |= change
    assert read(database_url) == wanted
