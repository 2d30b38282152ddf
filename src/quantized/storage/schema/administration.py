"""Who administers, what was done, and what it was answered with."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    true,
)

from quantized.storage.schema.base import metadata

# Digest is SHA-256 of the whole key. `institution_id` bounds what the key sees and touches, NULL for nothing.
admin_key = Table(
    "admin_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("institution_id", Text, ForeignKey("institution.id")),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("expires_at", BigInteger),
    Column("created_by", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("rotated_from", Text, ForeignKey("admin_key.id")),
    CheckConstraint("role IN ('operator', 'institution_admin', 'auditor')", "role"),
    CheckConstraint(
        "(role <> 'operator' OR institution_id IS NULL)"
        " AND (role <> 'institution_admin' OR institution_id IS NOT NULL)",
        "scope",
    ),
)

# Append-only: one row for each act, numbered from 1, written in the act's own transaction. `before` and
# `after` are JSON. `hash` is SHA-256 over the row before and this one (`administration.audit`).
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("actor_id", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("request_id", Text),
    Column("institution_id", Text, ForeignKey("institution.id")),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("target_id", Text, nullable=False),
    Column("reason", Text),
    Column("before", Text),
    Column("after", Text),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_audit_entry_institution_id_seq", "institution_id", "seq"),
    Index("ix_audit_entry_target_id_seq", "target_id", "seq"),
)

# What was answered to a request with an Idempotency-Key, for a day. `request` is SHA-256 of what was asked;
# secrets are not in the answer.
admin_answer = Table(
    "admin_answer",
    metadata,
    Column("actor_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("answer", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)
