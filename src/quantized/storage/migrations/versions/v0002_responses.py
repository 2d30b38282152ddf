"""Stored responses, and which licence types have them stored."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "license_type", sa.Column("stores_responses", sa.Boolean, nullable=False, server_default=sa.true())
    )
    op.add_column("license_type", sa.Column("retention_days", sa.Integer))
    _create_response()
    _create_response_call()


def _create_response() -> None:
    op.create_table(
        "response",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), nullable=False),
        sa.Column("previous_id", sa.Text),
        sa.Column("hold_id", sa.Text, sa.ForeignKey("usage_record.hold_id"), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("context", sa.LargeBinary, nullable=False),
        sa.Column("input", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "ix_response_previous_id",
        "response",
        ["previous_id"],
        sqlite_where=sa.text("previous_id IS NOT NULL"),
        postgresql_where=sa.text("previous_id IS NOT NULL"),
    )
    op.create_index(
        "ix_response_expires_at",
        "response",
        ["expires_at", "id"],
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )


def _create_response_call() -> None:
    op.create_table(
        "response_call",
        sa.Column("license_id", sa.Text, primary_key=True),
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("response_id", sa.Text, sa.ForeignKey("response.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("reasoning", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_response_call_response_id", "response_call", ["response_id"])
