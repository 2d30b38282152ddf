"""SQLite: an entry of the audit log is not replaced either, which fires no trigger of updates or deletes. The
ledger has no such trigger: requests would pay for it, and its chain shows a replaced entry. And the keys that
came in another's place are found by it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


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
    op.execute(
        "CREATE TRIGGER audit_entry_refuses_replace BEFORE INSERT ON audit_entry"
        " WHEN EXISTS (SELECT 1 FROM audit_entry WHERE seq = NEW.seq) "
        "BEGIN SELECT RAISE(ABORT, 'audit_entry is append-only'); END"
    )
