"""What was found of signed tokens, what they may claim, and which of them are revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("license_type", sa.Column("token_allowance", sa.BigInteger))
    op.add_column(
        "license_type", sa.Column("token_models", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("api_key", sa.Column("kind", sa.Text, nullable=False, server_default="key"))
    op.add_column("api_key", sa.Column("public_key_id", sa.Text))
    op.add_column("api_key", sa.Column("jti", sa.Text))
    op.add_column("api_key", sa.Column("models", sa.Text))
    op.create_table(
        "first_credits",
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount > 0", "amount"),
    )
    op.create_table(
        "revoked_token",
        sa.Column("institution_id", sa.Text, sa.ForeignKey("institution.id"), primary_key=True),
        sa.Column("jti", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
    )
