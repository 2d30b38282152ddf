"""The first schema: institutions down to keys, holds, entries, usage, and the catalogue's copy."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_directory()
    _create_ledger()
    _create_usage()
    _create_catalog()
    _forbid_changes("ledger_entry")


def _create_directory() -> None:
    op.create_table(
        "institution",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("alias", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "license_type",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("institution_id", sa.Text, sa.ForeignKey("institution.id"), nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("markup_bp", sa.Integer, nullable=False, server_default="10000"),
        sa.Column("overrides", sa.Text, nullable=False, server_default="{}"),
        sa.Column("default_credits", sa.BigInteger),
        sa.Column("unlimited", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("institution_id", "alias"),
        sa.CheckConstraint("markup_bp >= 0", "markup"),
    )
    op.create_table(
        "license",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("license_type_id", sa.Text, sa.ForeignKey("license_type.id"), nullable=False),
        sa.Column("unique_id", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("unlimited", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("used", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("held", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("entries", sa.BigInteger, nullable=False, server_default="0"),
        sa.UniqueConstraint("license_type_id", "unique_id"),
        sa.CheckConstraint("used >= 0 AND held >= 0", "not_negative"),
        sa.CheckConstraint("unlimited OR used + held <= granted", "covered"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("user_id", sa.Text),
        sa.Column("salt", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("rotated_from", sa.Text, sa.ForeignKey("api_key.id")),
    )
    op.create_index("ix_api_key_license_id", "api_key", ["license_id"])


def _create_ledger() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("taken_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.CheckConstraint("amount >= 0", "amount"),
        sa.CheckConstraint("state IN ('open', 'settled', 'released')", "state"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_hold_open",
        "hold",
        ["expires_at"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("balance_after", sa.BigInteger),
        sa.Column("hold_id", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("actor", sa.Text),
        sa.Column("estimated", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("kind IN ('grant', 'charge', 'overrun', 'adjustment')", "kind"),
        sa.CheckConstraint("id IS NOT NULL OR hold_id IS NOT NULL", "named"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_ledger_entry_id",
        "ledger_entry",
        ["id"],
        unique=True,
        sqlite_where=sa.text("id IS NOT NULL"),
        postgresql_where=sa.text("id IS NOT NULL"),
    )


def _create_usage() -> None:
    op.create_table(
        "usage_record",
        sa.Column("hold_id", sa.Text, sa.ForeignKey("hold.id"), primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("surface", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("upstream_id", sa.Text),
        sa.Column("input", sa.BigInteger, nullable=False),
        sa.Column("cached_read", sa.BigInteger, nullable=False),
        sa.Column("cache_write", sa.BigInteger, nullable=False),
        sa.Column("cache_write_1h", sa.BigInteger, nullable=False),
        sa.Column("input_audio", sa.BigInteger, nullable=False),
        sa.Column("output", sa.BigInteger, nullable=False),
        sa.Column("reasoning", sa.BigInteger, nullable=False),
        sa.Column("output_audio", sa.BigInteger, nullable=False),
        sa.Column("output_image", sa.BigInteger, nullable=False),
        sa.Column("web_searches", sa.BigInteger, nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("charged", sa.BigInteger, nullable=False),
        sa.Column("overrun", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("provider_cost", sa.BigInteger),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("first_byte_ms", sa.BigInteger),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("charged >= 0 AND overrun >= 0 AND charged + overrun = price", "price"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_record_created_at", "usage_record", ["created_at"])
    op.create_index("ix_usage_record_license_id_created_at", "usage_record", ["license_id", "created_at"])


def _create_catalog() -> None:
    op.create_table(
        "catalog_model",
        sa.Column("provider", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("fetched_at", sa.BigInteger, nullable=False),
    )


def _forbid_changes(table: str) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_refuses_changes() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'restrict_violation'; END $$"
        )
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
