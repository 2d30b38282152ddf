"""Limits that are kept in the licence's row, users' allowances within a licence, and allowed providers."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("license_type", sa.Column("allowed_providers", sa.Text))
    op.add_column("license_type", sa.Column("user_allowance", sa.BigInteger))
    for name in ("open_holds", "requests_owed", "tokens_owed", "metered_at"):
        op.add_column("license", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("license", sa.Column("user_allowance", sa.BigInteger))
    op.add_column("hold", sa.Column("tokens", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("hold", sa.Column("user_id", sa.Text))
    op.create_table(
        "user_allowance",
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("cap", sa.BigInteger),
        sa.Column("used", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("held", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint("cap >= 0", "cap"),
        sa.CheckConstraint("used >= 0 AND held >= 0", "not_negative"),
    )
    op.execute(
        "UPDATE license SET open_holds ="
        " (SELECT COUNT(*) FROM hold AS h WHERE h.state = 'open' AND h.license_id = license.id)"
        " WHERE id IN (SELECT license_id FROM hold WHERE state = 'open')"
    )
