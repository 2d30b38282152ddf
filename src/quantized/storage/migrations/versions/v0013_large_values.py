"""What stored responses say is kept as it is: PostgreSQL took most of the time of writing a large one for
squeezing it."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = {"response": ("answer", "context", "input"), "response_reasoning": ("reasoning",)}


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
