"""What verbs answer with, and what the audit log keeps of a thing before and after. Never a secret, but for
the one field of a key that was just made.

Amounts are integers in micro-credits, times RFC 3339 in UTC. Fields have the names that `--json` prints.
"""

from collections.abc import Mapping
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from quantized.administration.actor import Role
from quantized.administration.words import Rates, TypeLimits

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
T = TypeVar("T")


class Record(Struct, frozen=True, kw_only=True):
    def without_secret(self) -> "Record":
        """As it may be kept."""
        return self


class InstitutionRecord(Record, frozen=True, kw_only=True):
    institution_id: str
    alias: str
    name: str
    created_at: Time


class PublicKeyRecord(Record, frozen=True, kw_only=True):
    public_key_id: str
    institution_id: str
    kid: str | None
    pem: str
    active: bool
    expires_at: Time | None
    created_at: Time


class RevokedTokenRecord(Record, frozen=True, kw_only=True):
    """A signed token that is refused, by its claim `jti`."""

    institution_id: str
    jti: str
    reason: str
    revoked_at: Time


class LicenseTypeRecord(Record, frozen=True, kw_only=True):
    """`allowed_models` are patterns, null is all models; `retention_days` 0 is for ever, null what the
    settings say. `token_allowance_micro_credits` is the most that a signed token may claim for the licence it
    makes, null where it may claim nothing; `token_models`: whether it may narrow the models."""

    license_type_id: str
    institution_id: str
    alias: str
    name: str
    markup_bp: int
    overrides: Mapping[str, Rates]
    allowed_models: tuple[str, ...] | None
    default_micro_credits: int | None
    unlimited: bool
    stores_responses: bool
    retention_days: int | None
    limits: TypeLimits
    token_allowance_micro_credits: int | None
    token_models: bool
    allowed_providers: tuple[str, ...] | None = None
    user_allowance_micro_credits: int | None = None
    created_at: Time
    updated_at: Time


class LicenseRecord(Record, frozen=True, kw_only=True):
    """`available_micro_credits` is null for an unlimited licence, `user_allowance_micro_credits` for what its
    type says."""

    license_id: str
    institution_id: str
    license_type_id: str
    unique_id: str | None
    name: str
    active: bool
    unlimited: bool
    granted_micro_credits: int
    used_micro_credits: int
    held_micro_credits: int
    available_micro_credits: int | None
    user_allowance_micro_credits: int | None = None
    created_at: Time


class AllowanceRecord(Record, frozen=True, kw_only=True):
    """What one user may use of a licence, and has. `own_micro_credits` is null where the allowance of the
    licence or its type applies, `allowance_micro_credits` where none does."""

    license_id: str
    user_id: str
    own_micro_credits: int | None
    allowance_micro_credits: int | None
    used_micro_credits: int
    held_micro_credits: int
    available_micro_credits: int | None


class KeyRecord(Record, frozen=True, kw_only=True):
    key_id: str
    license_id: str
    prefix: str
    name: str
    active: bool
    expires_at: Time | None
    user_id: str | None
    rotated_from: str | None
    created_at: Time


class NewKeyRecord(KeyRecord, frozen=True, kw_only=True):
    """`api_key` is shown this once: null where the answer is repeated for an Idempotency-Key."""

    api_key: str | None

    def without_secret(self) -> "NewKeyRecord":
        return replace(self, api_key=None)


class AdminKeyRecord(Record, frozen=True, kw_only=True):
    """`institution_id` is what the key is bounded by, null for none."""

    admin_key_id: str
    prefix: str
    name: str
    role: str
    institution_id: str | None
    active: bool
    expires_at: Time | None
    rotated_from: str | None
    created_by: str
    created_at: Time


class NewAdminKeyRecord(AdminKeyRecord, frozen=True, kw_only=True):
    """`admin_key` is shown this once: null where the answer is repeated for an Idempotency-Key."""

    admin_key: str | None

    def without_secret(self) -> "NewAdminKeyRecord":
        return replace(self, admin_key=None)


class EntryRecord(Record, frozen=True, kw_only=True):
    """One line of a licence's ledger: `micro_credits` move from the account `debit` to `credit`."""

    license_id: str
    seq: int
    entry_id: str | None
    kind: str
    debit: str
    credit: str
    micro_credits: int
    balance_after_micro_credits: int
    hold_id: str | None
    request_id: str | None
    reason: str | None
    actor: str | None
    created_at: Time


class CreditsRecord(Record, frozen=True, kw_only=True):
    """The licence after a booking, and the booking's id: said again with it, it counts once.
    `refunded_micro_credits` is what a refund gave back, null for all else."""

    entry_id: str
    refunded_micro_credits: int | None = None
    license: LicenseRecord


class UsageRecord(Record, frozen=True, kw_only=True):
    """One group's sum. `group` is a day, a model's name, or the id of a key, a licence or a user; `label` is
    what that is called. Input and output are tokens; `estimated` counts requests whose tokens we counted."""

    group: str
    label: str
    requests: int
    input: int
    output: int
    charged_micro_credits: int
    overrun_micro_credits: int
    estimated: int


class RequestRecord(Record, frozen=True, kw_only=True):
    """One request. `input` and `output` are all tokens of their side, `cached_read` and `reasoning` a part of
    them."""

    created_at: Time
    request_id: str
    hold_id: str
    license_id: str
    key_id: str
    user_id: str | None
    provider: str
    model: str
    surface: str
    outcome: str
    input: int
    cached_read: int
    output: int
    reasoning: int
    charged_micro_credits: int
    overrun_micro_credits: int
    estimated: bool
    first_byte_ms: int | None
    duration_ms: int


class AuditRecord(Record, frozen=True, kw_only=True):
    """One act. `hash` is SHA-256 over the hash of the one before it and this one's own content."""

    seq: int
    at: Time
    actor_id: str
    actor_name: str
    role: str
    origin: str
    request_id: str | None
    institution_id: str | None
    action: str
    target: str
    target_id: str
    reason: str | None
    before: Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
    after: Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
    hash: str


class ActorRecord(Record, frozen=True, kw_only=True):
    """Who is asking."""

    id: str
    name: str
    role: Role
    institution_id: str | None


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """`next_cursor` asks for what follows; null at the end."""

    data: list[T]
    has_more: bool
    next_cursor: str | None
    object: str = "list"
