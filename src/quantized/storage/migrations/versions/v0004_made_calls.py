"""Every tool call of an answer with its fingerprint, and the reasoning once for all of them.

What was known of calls before said nothing of those without reasoning, so that nobody could tell whether an
id was made once: it goes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("response_call")
    op.create_table(
        "response_call",
        sa.Column("license_id", sa.Text, primary_key=True),
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("response_id", sa.Text, sa.ForeignKey("response.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("thoughts", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_response_call_response_id", "response_call", ["response_id"])
    op.create_table(
        "response_reasoning",
        sa.Column("response_id", sa.Text, sa.ForeignKey("response.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("reasoning", sa.LargeBinary, nullable=False),
    )
