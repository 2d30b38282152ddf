"""SQLite: what is append-only is not replaced either, which fires no trigger of updates or deletes. And the
keys that came in another's place are found by it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_KNOWN = {
    "ledger_entry": "EXISTS (SELECT 1 FROM ledger_entry WHERE license_id = NEW.license_id AND seq = NEW.seq)"
    " OR EXISTS (SELECT 1 FROM ledger_entry WHERE id = NEW.id AND id IS NOT NULL)",
    "audit_entry": "EXISTS (SELECT 1 FROM audit_entry WHERE seq = NEW.seq)",
}


def upgrade() -> None:
    op.create_index(
        "ix_api_key_rotated_from",
        "api_key",
        ["rotated_from"],
        sqlite_where=sa.text("rotated_from IS NOT NULL"),
        postgresql_where=sa.text("rotated_from IS NOT NULL"),
    )
    if op.get_context().dialect.name == "postgresql":
        return
    for table, known in _KNOWN.items():
        op.execute(
            f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} WHEN {known} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
