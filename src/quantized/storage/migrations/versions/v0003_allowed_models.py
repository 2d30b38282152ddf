"""Which models the licences of a type may call."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("license_type", sa.Column("allowed_models", sa.Text))
