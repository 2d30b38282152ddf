"""What was held, charged and booked, and who holds."""

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
    false,
    text,
)

from quantized.storage.schema.base import metadata

# Every process that may have holds. `machine` is what process ids mean something on, NULL where nobody can
# tell; times are the database's own, because machines' clocks differ.
process = Table(
    "process",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("machine", Text),
    Column("pid", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

# Rows that are found by their primary key and arrive nearly in its order live in the key's own tree: SQLite
# then writes one page less for each (WITHOUT ROWID). `owner` is the process that took the hold. `tokens` is
# what it took of a limit on tokens by the minute. `user_id` is whose allowance it counts for, NULL where none
# applied. SQLite builds a table of a list of three values, once for each row that is looked up in it: a tenth
# of what a hold costs.
hold = Table(
    "hold",
    metadata,
    Column("id", Text, primary_key=True),
    Column("license_id", Text, ForeignKey("license.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("taken_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("request_id", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("owner", Text),
    Column("tokens", BigInteger, nullable=False, server_default="0"),
    Column("user_id", Text),
    CheckConstraint("amount >= 0", "amount"),
    CheckConstraint("state = 'open' OR state = 'settled' OR state = 'released'", "state").ddl_if("sqlite"),
    CheckConstraint("state IN ('open', 'settled', 'released')", "state").ddl_if("postgresql"),
    Index(
        "ix_hold_open",
        "expires_at",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    sqlite_with_rowid=False,
)

# What users have of a licence. `used` and `held` are what the holds that count for the user (`hold.user_id`)
# were charged and keep; what was used while no allowance applied is not in it. `cap` is the user's own
# allowance, NULL for what the licence or its type says.
user_allowance = Table(
    "user_allowance",
    metadata,
    Column("license_id", Text, ForeignKey("license.id"), primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("cap", BigInteger),
    Column("used", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("cap >= 0", "cap"),
    CheckConstraint("used >= 0 AND held >= 0", "not_negative"),
)

# Append-only, double entry: each row moves `amount` from the account `debit` to the account `credit`
# (`storage.records.Account`). `balance_after` is granted - used. `seq` numbers a licence's entries from 1.
# `id` is what whoever wrote the entry minted for it, so that it counts once; a charge and its overrun have
# the hold's id for that. An answer that cost nothing has its charge, too, because `record_hash` seals its
# request record. `hash` chains a licence's entries (`ledger.chain`).
ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("license_id", Text, ForeignKey("license.id"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text),
    Column("kind", Text, nullable=False),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance_after", BigInteger, nullable=False),
    Column("hold_id", Text),
    Column("request_id", Text),
    Column("reason", Text),
    Column("actor", Text),
    Column("estimated", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    Column("record_hash", LargeBinary),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint(
        "(kind = 'charge' AND debit = 'license' AND credit = 'revenue')"
        " OR (kind = 'overrun' AND debit = 'overrun' AND credit = 'revenue')"
        " OR (kind = 'refund' AND debit = 'revenue' AND credit = 'license')"
        " OR (kind IN ('grant', 'adjustment') AND debit = 'institution' AND credit = 'license')"
        " OR (kind = 'adjustment' AND debit = 'license' AND credit = 'institution')",
        "accounts",
    ),
    CheckConstraint("amount > 0 OR (amount = 0 AND kind = 'charge')", "amount"),
    CheckConstraint("id IS NOT NULL OR hold_id IS NOT NULL", "named"),
    Index(
        "ix_ledger_entry_id",
        "id",
        unique=True,
        sqlite_where=text("id IS NOT NULL"),
        postgresql_where=text("id IS NOT NULL"),
    ),
    Index(
        "ix_ledger_entry_refund",
        "hold_id",
        sqlite_where=text("kind = 'refund'"),
        postgresql_where=text("kind = 'refund'"),
    ),
    sqlite_with_rowid=False,
)

# One row for each settlement: `core.ports.Charge` (the buckets of `core.usage.Usage` under their own names)
# and its receipt. `created_at` is when it was charged, and what reports go by.
usage_record = Table(
    "usage_record",
    metadata,
    Column("hold_id", Text, ForeignKey("hold.id"), primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("license_id", Text, ForeignKey("license.id"), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("user_id", Text),
    Column("surface", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("upstream_id", Text),
    Column("input", BigInteger, nullable=False),
    Column("cached_read", BigInteger, nullable=False),
    Column("cache_write", BigInteger, nullable=False),
    Column("cache_write_1h", BigInteger, nullable=False),
    Column("input_audio", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("output_audio", BigInteger, nullable=False),
    Column("output_image", BigInteger, nullable=False),
    Column("web_searches", BigInteger, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("overrun", BigInteger, nullable=False),
    Column("remaining", BigInteger),
    Column("estimated", Boolean, nullable=False),
    Column("provider_cost", BigInteger),
    Column("outcome", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("first_byte_ms", BigInteger),
    Column("duration_ms", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    CheckConstraint("charged >= 0 AND overrun >= 0 AND charged + overrun = price", "price"),
    Index("ix_usage_record_license_id_created_at", "license_id", "created_at"),
    sqlite_with_rowid=False,
)
