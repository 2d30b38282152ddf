"""The tables, once. Portable between SQLite and PostgreSQL; the migrations build exactly these.

Ids are text, times are Unix milliseconds, amounts are micro-credits. What a licence type does not say about
a model, the catalogue says.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

institution = Table(
    "institution",
    metadata,
    Column("id", Text, primary_key=True),
    Column("alias", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# Ed25519, as PEM text. `kid` is by what a token picks one of its institution's keys.
public_key = Table(
    "public_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("institution_id", Text, ForeignKey("institution.id"), nullable=False, index=True),
    Column("kid", Text),
    Column("pem", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    UniqueConstraint("institution_id", "kid"),
)

# `overrides` is a JSON object, model name -> `core.ports.Override`. `default_credits` and `unlimited` are
# what a licence of this type begins with; afterwards the licence's own row counts. `retention_days` is NULL
# for what the settings say and 0 for ever. `allowed_models` is a JSON array, NULL for all models
# (`core.ports.Terms`). Of the limits NULL is none. `token_allowance` is the most that a signed token may
# claim for the licence it makes, NULL where it may claim nothing; `token_models`: whether it may narrow the
# models. `allowed_providers` as `allowed_models`. `user_allowance` is what each user may use of a licence at
# most.
license_type = Table(
    "license_type",
    metadata,
    Column("id", Text, primary_key=True),
    Column("institution_id", Text, ForeignKey("institution.id"), nullable=False),
    Column("alias", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("markup_bp", Integer, nullable=False, server_default="10000"),
    Column("overrides", Text, nullable=False, server_default="{}"),
    Column("default_credits", BigInteger),
    Column("unlimited", Boolean, nullable=False, server_default=false()),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("stores_responses", Boolean, nullable=False, server_default=true()),
    Column("retention_days", Integer),
    Column("allowed_models", Text),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("parallel_requests", Integer),
    Column("output_tokens_per_request", Integer),
    Column("token_allowance", BigInteger),
    Column("token_models", Boolean, nullable=False, server_default=false()),
    Column("allowed_providers", Text),
    Column("user_allowance", BigInteger),
    UniqueConstraint("institution_id", "alias"),
    CheckConstraint("markup_bp >= 0", "markup"),
)

# `granted`, `used` and `held` cache what the entries and the open holds add up to; `entries` counts the
# licence's entries, so that each has a number and their order is a fact, and `head` is the newest one's hash.
# `open_holds` counts the open holds. `requests_owed` and `tokens_owed` are the buckets of the limits by the
# minute as they were at `metered_at` (`ledger.meters`). `user_allowance` is NULL for what the type says.
license = Table(  # noqa: A001  the domain's own word
    "license",
    metadata,
    Column("id", Text, primary_key=True),
    Column("license_type_id", Text, ForeignKey("license_type.id"), nullable=False),
    Column("unique_id", Text),
    Column("name", Text, nullable=False),
    Column("unlimited", Boolean, nullable=False, server_default=false()),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("created_at", BigInteger, nullable=False),
    Column("granted", BigInteger, nullable=False, server_default="0"),
    Column("used", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("entries", BigInteger, nullable=False, server_default="0"),
    Column("head", LargeBinary),
    Column("open_holds", BigInteger, nullable=False, server_default="0"),
    Column("requests_owed", BigInteger, nullable=False, server_default="0"),
    Column("tokens_owed", BigInteger, nullable=False, server_default="0"),
    Column("metered_at", BigInteger, nullable=False, server_default="0"),
    Column("user_allowance", BigInteger),
    UniqueConstraint("license_type_id", "unique_id"),
    CheckConstraint("used >= 0 AND held >= 0", "not_negative"),
    CheckConstraint("unlimited OR used + held <= granted", "covered"),
)

# A key, or what a signed token (`kind` "token") was found to be when it was first used: `digest` is SHA-256
# of the whole of either. Only of a token are `public_key_id`, which verified it, `jti`, and `models`: a JSON
# array that narrows its licence type's.
api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("license_id", Text, ForeignKey("license.id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("expires_at", BigInteger),
    Column("user_id", Text),
    Column("salt", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("rotated_from", Text, ForeignKey("api_key.id")),
    Column("kind", Text, nullable=False, server_default="key"),
    Column("public_key_id", Text),
    Column("jti", Text),
    Column("models", Text),
    Index(
        "ix_api_key_rotated_from",
        "rotated_from",
        sqlite_where=text("rotated_from IS NOT NULL"),
        postgresql_where=text("rotated_from IS NOT NULL"),
    ),
)

# What a licence that a token made begins with, until the ledger has granted it.
first_credits = Table(
    "first_credits",
    metadata,
    Column("license_id", Text, ForeignKey("license.id"), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount > 0", "amount"),
)

# Tokens that count no more, by the name that their issuer gave them.
revoked_token = Table(
    "revoked_token",
    metadata,
    Column("institution_id", Text, ForeignKey("institution.id"), primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
)

# People who come and go together: each with a licence of a type, or all in one, each with an allowance.
roster = Table(
    "roster",
    metadata,
    Column("id", Text, primary_key=True),
    Column("institution_id", Text, ForeignKey("institution.id"), nullable=False),
    Column("alias", Text, nullable=False),
    Column("license_type_id", Text, ForeignKey("license_type.id")),
    Column("license_id", Text, ForeignKey("license.id")),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("institution_id", "alias"),
    CheckConstraint("(license_type_id IS NULL) <> (license_id IS NULL)", "kind"),
)

# See `storage.roster_rows.Person`. Whoever was removed stays, not active.
roster_person = Table(
    "roster_person",
    metadata,
    Column("roster_id", Text, ForeignKey("roster.id"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text),
    Column("license_id", Text, ForeignKey("license.id"), nullable=False),
    Column("micro_credits", BigInteger),
    Column("expires_at", BigInteger),
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

# A link that shows its person a new key, once. Digest is SHA-256 of its secret.
claim_link = Table(
    "claim_link",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("roster_id", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("claimed_at", BigInteger),
    Column("withdrawn_at", BigInteger),
    Column("key_id", Text, ForeignKey("api_key.id")),
    ForeignKeyConstraint(["roster_id", "person"], ["roster_person.roster_id", "roster_person.person"]),
    Index("ix_claim_link_roster_id_person", "roster_id", "person"),
)

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
# applied.
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
    CheckConstraint("state IN ('open', 'settled', 'released')", "state"),
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

# A provider's own list of models as we understood it; `data` is JSON. `position` orders the list.
catalog_model = Table(
    "catalog_model",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False, server_default="0"),
)

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
