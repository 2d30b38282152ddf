"""Double entry, and a chain of hashes through each licence's entries.

What `ledger.chain` makes is made here once more, as it was on this migration's day: what has been hashed can
never be hashed otherwise.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PAGE = 500
_SIDES = {
    "charge": ("license", "revenue"),
    "overrun": ("overrun", "revenue"),
    "grant": ("institution", "license"),
    "adjustment": ("institution", "license"),
}
_COLUMNS = (
    "license_id", "seq", "id", "kind", "debit", "credit", "amount", "balance_after", "hold_id", "request_id",
    "reason", "actor", "estimated", "created_at", "record_hash", "hash",
)  # fmt: skip
_RECORD_COLUMNS = (
    "hold_id", "request_id", "license_id", "key_id", "user_id", "surface", "provider", "model", "upstream_id",
    "input", "cached_read", "cache_write", "cache_write_1h", "input_audio", "output", "reasoning",
    "output_audio", "output_image", "web_searches", "price", "charged", "overrun", "remaining", "estimated",
    "provider_cost", "outcome", "started_at", "first_byte_ms", "duration_ms", "created_at",
)  # fmt: skip
_OLD_COLUMNS = (
    "license_id", "seq", "id", "kind", "amount", "hold_id", "request_id", "reason", "actor", "estimated",
    "created_at",
)  # fmt: skip


def upgrade() -> None:
    op.add_column("license", sa.Column("head", sa.LargeBinary))
    _set_aside()
    op.drop_table("ledger_entry")
    _create()
    _convert(op.get_bind())
    op.drop_table("former_entry")
    _forbid_changes("ledger_entry")


def _set_aside() -> None:
    # A table that is renamed takes its constraints' names along, which the new one needs.
    op.create_table(
        "former_entry",
        sa.Column("license_id", sa.Text, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("hold_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("actor", sa.Text),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    names = ", ".join(_OLD_COLUMNS)
    op.execute(
        f"INSERT INTO former_entry ({names}) SELECT {names} FROM ledger_entry ORDER BY license_id, seq"  # noqa: S608  names of ours
    )


def _create() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("debit", sa.Text, nullable=False),
        sa.Column("credit", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("balance_after", sa.BigInteger, nullable=False),
        sa.Column("hold_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("actor", sa.Text),
        sa.Column("estimated", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("record_hash", sa.LargeBinary),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(
            "(kind = 'charge' AND debit = 'license' AND credit = 'revenue')"
            " OR (kind = 'overrun' AND debit = 'overrun' AND credit = 'revenue')"
            " OR (kind = 'refund' AND debit = 'revenue' AND credit = 'license')"
            " OR (kind IN ('grant', 'adjustment') AND debit = 'institution' AND credit = 'license')"
            " OR (kind = 'adjustment' AND debit = 'license' AND credit = 'institution')",
            "accounts",
        ),
        sa.CheckConstraint("amount > 0 OR (amount = 0 AND kind = 'charge')", "amount"),
        sa.CheckConstraint("id IS NOT NULL OR hold_id IS NOT NULL", "named"),
        sqlite_with_rowid=False,
    )
    for name, column, where in (
        ("ix_ledger_entry_id", "id", "id IS NOT NULL"),
        ("ix_ledger_entry_refund", "hold_id", "kind = 'refund'"),
    ):
        op.create_index(
            name,
            "ledger_entry",
            [column],
            unique=column == "id",
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


def _convert(connection: sa.Connection) -> None:
    """Licence by licence, each one's entries in their order, a page at a time."""
    entries = sa.table("ledger_entry", *map(sa.column, _COLUMNS))
    owner, head, balance = "", bytes(32), 0
    for page in _pages(connection):
        records = _record_hashes(connection, [row["hold_id"] for row in page if row["kind"] == "charge"])
        converted = []
        for row in page:
            if row["license_id"] != owner:
                _store_head(connection, owner, head)
                owner, head, balance = row["license_id"], bytes(32), 0
            debit, credit = _SIDES[row["kind"]]
            if row["kind"] == "adjustment" and row["amount"] < 0:
                debit, credit = credit, debit
            if row["kind"] != "overrun":
                balance += row["amount"]
            sealed = records.get(row["hold_id"]) if row["kind"] == "charge" else None
            entry = {
                **row, "debit": debit, "credit": credit, "amount": abs(row["amount"]),
                "balance_after": balance, "estimated": bool(row["estimated"]),
                "record_hash": sealed and sealed.hex(),
            }  # fmt: skip
            head = sha256(head + _canonical([entry[name] for name in _COLUMNS[:-1]])).digest()
            converted.append({**entry, "record_hash": sealed, "hash": head})
        connection.execute(sa.insert(entries), converted)
    _store_head(connection, owner, head)


def _pages(connection: sa.Connection) -> Iterator[list[dict[str, Any]]]:
    statement = sa.text(
        f"SELECT {', '.join(_OLD_COLUMNS)} FROM former_entry"  # noqa: S608  names of ours
        f" WHERE (license_id, seq) > (:owner, :seq) ORDER BY license_id, seq LIMIT {_PAGE}"
    )
    owner, seq = "", 0
    while page := [
        dict(row) for row in connection.execute(statement, {"owner": owner, "seq": seq}).mappings()
    ]:
        yield page
        owner, seq = page[-1]["license_id"], page[-1]["seq"]


def _record_hashes(connection: sa.Connection, hold_ids: list[str]) -> dict[str, bytes]:
    records = sa.table("usage_record", *map(sa.column, _RECORD_COLUMNS))
    found = connection.execute(sa.select(records).where(records.c.hold_id.in_(hold_ids))).mappings()
    return {
        row["hold_id"]: sha256(
            _canonical([{**row, "estimated": bool(row["estimated"])}[name] for name in _RECORD_COLUMNS])
        ).digest()
        for row in found
    }


def _store_head(connection: sa.Connection, owner: str, head: bytes) -> None:
    licenses = sa.table("license", sa.column("id"), sa.column("head", sa.LargeBinary))
    connection.execute(sa.update(licenses).where(licenses.c.id == owner).values(head=head))


def _canonical(columns: list[Any]) -> bytes:
    return json.dumps(columns, ensure_ascii=False, separators=(",", ":")).encode()


def _forbid_changes(table: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        # The function that the first migration made is still there; the trigger went with its table.
        op.execute(
            f"CREATE TRIGGER {table}_refuses_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuses_changes()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
