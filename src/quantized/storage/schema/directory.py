"""Who may call: institutions, what licences begin with, licences, keys, tokens and rosters."""

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
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

from quantized.storage.schema.base import metadata

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
