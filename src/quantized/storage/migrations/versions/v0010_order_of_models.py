"""The order of a provider's models, which was SQLite's own order of rows."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("catalog_model", sa.Column("position", sa.BigInteger, nullable=False, server_default="0"))
    if op.get_context().dialect.name == "sqlite":
        op.execute("UPDATE catalog_model SET position = rowid")
