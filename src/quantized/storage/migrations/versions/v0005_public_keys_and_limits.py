"""The public keys of institutions, and the limits of licence types."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "public_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("institution_id", sa.Text, sa.ForeignKey("institution.id"), nullable=False),
        sa.Column("kid", sa.Text),
        sa.Column("pem", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.UniqueConstraint("institution_id", "kid"),
    )
    op.create_index("ix_public_key_institution_id", "public_key", ["institution_id"])
    for limit in (
        "requests_per_minute",
        "tokens_per_minute",
        "parallel_requests",
        "output_tokens_per_request",
    ):
        op.add_column("license_type", sa.Column(limit, sa.Integer))
