"""Turns that are stored, and what is looked for in them."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)

from quantized.storage.schema.base import metadata

# One turn of a conversation (`core.turns.Turn`), written with its charge. `previous_id` may name one that has
# been deleted. The three blobs (`storage.turn_format`) are read apart: `answer` by references to its items,
# `context` by a turn that continues the conversation, `input` only when somebody reads it back. SQLite finds
# a column by walking through those before it, so that they stand in that order.
response = Table(
    "response",
    metadata,
    Column("id", Text, primary_key=True),
    Column("license_id", Text, ForeignKey("license.id"), nullable=False),
    Column("previous_id", Text),
    Column("hold_id", Text, ForeignKey("usage_record.hold_id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("answer", LargeBinary, nullable=False),
    Column("context", LargeBinary, nullable=False),
    Column("input", LargeBinary, nullable=False),
    Index(
        "ix_response_previous_id",
        "previous_id",
        sqlite_where=text("previous_id IS NOT NULL"),
        postgresql_where=text("previous_id IS NOT NULL"),
    ),
    Index(
        "ix_response_expires_at",
        "expires_at",
        "id",
        sqlite_where=text("expires_at IS NOT NULL"),
        postgresql_where=text("expires_at IS NOT NULL"),
    ),
)

# The tool calls of all stored answers (`core.turns.MadeCall`). Call ids are the providers', which need not be
# unique.
response_call = Table(
    "response_call",
    metadata,
    Column("license_id", Text, primary_key=True),
    Column("call_id", Text, primary_key=True),
    Column("response_id", Text, ForeignKey("response.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("fingerprint", Text, nullable=False),
    Column("thoughts", BigInteger, nullable=False),
)

# All reasoning of an answer that made tool calls, beside it: few of those that read a response want it.
response_reasoning = Table(
    "response_reasoning",
    metadata,
    Column("response_id", Text, ForeignKey("response.id", ondelete="CASCADE"), primary_key=True),
    Column("reasoning", LargeBinary, nullable=False),
)
