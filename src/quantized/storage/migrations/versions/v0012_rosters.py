"""Rosters, the people on them, and the links by which they get their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "roster",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("institution_id", sa.Text, sa.ForeignKey("institution.id"), nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("license_type_id", sa.Text, sa.ForeignKey("license_type.id")),
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id")),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("institution_id", "alias"),
        sa.CheckConstraint("(license_type_id IS NULL) <> (license_id IS NULL)", "kind"),
    )
    op.create_table(
        "roster_person",
        sa.Column("roster_id", sa.Text, sa.ForeignKey("roster.id"), primary_key=True),
        sa.Column("person", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("license_id", sa.Text, sa.ForeignKey("license.id"), nullable=False),
        sa.Column("micro_credits", sa.BigInteger),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "claim_link",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("roster_id", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("claimed_at", sa.BigInteger),
        sa.Column("withdrawn_at", sa.BigInteger),
        sa.Column("key_id", sa.Text, sa.ForeignKey("api_key.id")),
        sa.ForeignKeyConstraint(["roster_id", "person"], ["roster_person.roster_id", "roster_person.person"]),
    )
    op.create_index("ix_claim_link_roster_id_person", "claim_link", ["roster_id", "person"])
