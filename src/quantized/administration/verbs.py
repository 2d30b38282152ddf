"""Everything an administrator can say, as plain data. A verb means the same to a database and to `/admin/v1`.

What is UNSET stays as it is; None (null) takes a value away where there may be none.
"""

from typing import Annotated, Generic, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from quantized.administration import words as w
from quantized.administration.actor import Role
from quantized.administration.records import (
    ActorRecord,
    AdminKeyRecord,
    AllowanceRecord,
    AuditRecord,
    CreditsRecord,
    EntryRecord,
    InstitutionRecord,
    KeyRecord,
    LicenseRecord,
    LicenseTypeRecord,
    NewAdminKeyRecord,
    NewKeyRecord,
    Page,
    PublicKeyRecord,
    RequestRecord,
    RevokedTokenRecord,
    UsageRecord,
)
from quantized.core.usage import Grouping

R_co = TypeVar("R_co", covariant=True)


class Verb(Struct, Generic[R_co], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """R_co is what it is answered with."""


class Listing(Verb[Page[R_co]], Generic[R_co], frozen=True, kw_only=True):
    """Page by page; what is added meanwhile neither repeats nor hides a row."""

    limit: w.PageSize = 50
    cursor: w.Cursor | None = None


# Who is asking


class ShowSelf(Verb[ActorRecord], frozen=True, kw_only=True):
    pass


# Institutions


class ListInstitutions(Listing[InstitutionRecord], frozen=True, kw_only=True):
    pass


class ShowInstitution(Verb[InstitutionRecord], frozen=True, kw_only=True):
    institution: w.PathReference


class CreateInstitution(Verb[InstitutionRecord], frozen=True, kw_only=True):
    """`name` is the alias unless given."""

    alias: w.Alias
    name: w.Name | None = None


class UpdateInstitution(Verb[InstitutionRecord], frozen=True, kw_only=True):
    institution: w.PathReference
    name: w.Name | UnsetType = UNSET


# Public keys


class ListPublicKeys(Listing[PublicKeyRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None
    active: bool | None = None


class ShowPublicKey(Verb[PublicKeyRecord], frozen=True, kw_only=True):
    public_key: w.PathReference


class CreatePublicKey(Verb[PublicKeyRecord], frozen=True, kw_only=True):
    """`key` is an Ed25519 public key: PEM, a JWK, or base64 of its 32 bytes. `kid` is what its tokens name it
    by."""

    institution: w.Reference
    key: w.Pem
    kid: w.UniqueId | None = None
    expires_at: w.Moment | None = None


class UpdatePublicKey(Verb[PublicKeyRecord], frozen=True, kw_only=True):
    public_key: w.PathReference
    active: bool | UnsetType = UNSET
    expires_at: w.Moment | UnsetType | None = UNSET


# Revoked tokens


class ListRevokedTokens(Listing[RevokedTokenRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None


class RevokeToken(Verb[RevokedTokenRecord], frozen=True, kw_only=True):
    """Refuses every token of the institution with this `jti`, for good. Said again, it changes nothing."""

    institution: w.Reference
    jti: w.Name
    reason: w.Name = "revoked"


# Licence types


class ListLicenseTypes(Listing[LicenseTypeRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None


class ShowLicenseType(Verb[LicenseTypeRecord], frozen=True, kw_only=True):
    license_type: w.PathReference


class CreateLicenseType(Verb[LicenseTypeRecord], frozen=True, kw_only=True):
    """`default_micro_credits` and `unlimited` are what its licences begin with, and exclude each other.
    `allowed_models` and `allowed_providers` are shell-style patterns; null is all of them."""

    institution: w.Reference
    alias: w.Alias
    name: w.Name | None = None
    markup_bp: w.Markup = 10_000
    overrides: w.OverridesByModel = {}
    allowed_models: w.ModelPatterns | None = None
    default_micro_credits: w.MicroCredits | None = None
    unlimited: bool = False
    stores_responses: bool = True
    retention_days: w.RetentionDays | None = None
    limits: w.TypeLimits = w.TypeLimits()
    token_allowance_micro_credits: w.MicroCredits | None = None
    token_models: bool = False
    allowed_providers: w.ProviderPatterns | None = None
    user_allowance_micro_credits: w.Allowance | None = None


class UpdateLicenseType(Verb[LicenseTypeRecord], frozen=True, kw_only=True):
    """`overrides` replaces all rates of its own, `limits` all limits. The licences that are there keep their
    balance."""

    license_type: w.PathReference
    name: w.Name | UnsetType = UNSET
    markup_bp: w.Markup | UnsetType = UNSET
    overrides: w.OverridesByModel | UnsetType = UNSET
    allowed_models: w.ModelPatterns | UnsetType | None = UNSET
    default_micro_credits: w.MicroCredits | UnsetType | None = UNSET
    unlimited: bool | UnsetType = UNSET
    stores_responses: bool | UnsetType = UNSET
    retention_days: w.RetentionDays | UnsetType | None = UNSET
    limits: w.TypeLimits | UnsetType = UNSET
    token_allowance_micro_credits: w.MicroCredits | UnsetType | None = UNSET
    token_models: bool | UnsetType = UNSET
    allowed_providers: w.ProviderPatterns | UnsetType | None = UNSET
    user_allowance_micro_credits: w.Allowance | UnsetType | None = UNSET


# Licences


class ListLicenses(Listing[LicenseRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None
    license_type: w.Reference | None = None
    unique_id: w.Name | None = None
    active: bool | None = None


class ShowLicense(Verb[LicenseRecord], frozen=True, kw_only=True):
    license: w.PathReference


class CreateLicense(Verb[LicenseRecord], frozen=True, kw_only=True):
    """Begins with `micro_credits`, else with what its type says. `name` is the unique id unless given.
    `user_allowance_micro_credits`: null for what its type says."""

    license_type: w.Reference
    unique_id: w.UniqueId | None = None
    name: w.Name | None = None
    micro_credits: w.MicroCredits | None = None
    unlimited: bool = False
    user_allowance_micro_credits: w.Allowance | None = None


class UpdateLicense(Verb[LicenseRecord], frozen=True, kw_only=True):
    license: w.PathReference
    name: w.Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    user_allowance_micro_credits: w.Allowance | UnsetType | None = UNSET


# Users' allowances


class ListAllowances(Listing[AllowanceRecord], frozen=True, kw_only=True):
    """Of all users who have or had one, by their ids."""

    license: w.PathReference


class SetAllowance(Verb[AllowanceRecord], frozen=True, kw_only=True):
    """A user's own; null for what the licence or its type says. Counts for requests that begin a few seconds
    later. What is under way is paid for."""

    license: w.PathReference
    user_id: w.Name
    micro_credits: w.Allowance | None


# Keys


class ListKeys(Listing[KeyRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None
    license: w.Reference | None = None
    active: bool | None = None


class ShowKey(Verb[KeyRecord], frozen=True, kw_only=True):
    key: w.PathReference


class CreateKey(Verb[NewKeyRecord], frozen=True, kw_only=True):
    """`user_id` is whom its calls are recorded for."""

    license: w.Reference
    name: w.Name = "key"
    expires_at: w.Moment | None = None
    user_id: w.Name | None = None


class UpdateKey(Verb[KeyRecord], frozen=True, kw_only=True):
    key: w.PathReference
    name: w.Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class RotateKey(Verb[NewKeyRecord], frozen=True, kw_only=True):
    """A new key in the place of an old one."""

    key: w.PathReference
    grace_seconds: w.GraceSeconds = 0


# Credits

_EntryId = Annotated[
    w.UniqueId | None, Meta(description="Your own id of this booking: said again, it counts once.")
]


class GrantCredits(Verb[CreditsRecord], frozen=True, kw_only=True):
    license: w.PathReference
    micro_credits: w.MicroCredits
    reason: w.Name
    id: _EntryId = None


class AdjustCredits(Verb[CreditsRecord], frozen=True, kw_only=True):
    """Up or down; never below what is used or held."""

    license: w.PathReference
    micro_credits: w.SignedMicroCredits
    reason: w.Name
    id: _EntryId = None


class RefundCredits(Verb[CreditsRecord], frozen=True, kw_only=True):
    """`request` is the request's id, or its hold's; `micro_credits` null is all that was charged for it."""

    license: w.PathReference
    request: w.UniqueId
    reason: w.Name
    micro_credits: w.MicroCredits | None = None
    id: _EntryId = None


class ListEntries(Listing[EntryRecord], frozen=True, kw_only=True):
    """The licence's ledger, the oldest entry first."""

    license: w.PathReference


# Usage


class ReadUsage(Verb[Page[UsageRecord]], frozen=True, kw_only=True):
    """Added up by `by`: days in their order, all else by what was charged. `until` is not included."""

    by: Grouping = "day"
    institution: w.Reference | None = None
    license: w.Reference | None = None
    key: w.Reference | None = None
    model: w.ModelPattern | None = None
    user_id: w.Name | None = None
    since: w.MomentOrDay | None = None
    until: w.MomentOrDay | None = None


class ListRequests(Listing[RequestRecord], frozen=True, kw_only=True):
    """Each request that was charged, the oldest first. `until` is not included."""

    institution: w.Reference | None = None
    license: w.Reference | None = None
    key: w.Reference | None = None
    model: w.ModelPattern | None = None
    user_id: w.Name | None = None
    since: w.MomentOrDay | None = None
    until: w.MomentOrDay | None = None


# The audit log


class ListAudit(Listing[AuditRecord], frozen=True, kw_only=True):
    """The newest first."""

    institution: w.Reference | None = None
    actor: w.Name | None = None
    action: w.UniqueId | None = None
    target: w.Name | None = None
    since: w.MomentOrDay | None = None
    until: w.MomentOrDay | None = None


# Admin keys


class ListAdminKeys(Listing[AdminKeyRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None
    active: bool | None = None


class ShowAdminKey(Verb[AdminKeyRecord], frozen=True, kw_only=True):
    admin_key: w.PathReference


class CreateAdminKey(Verb[NewAdminKeyRecord], frozen=True, kw_only=True):
    """An institution_admin has an institution, an operator has none, an auditor may have one."""

    name: w.Name
    role: Role
    institution: w.Reference | None = None
    expires_at: w.Moment | None = None


class UpdateAdminKey(Verb[AdminKeyRecord], frozen=True, kw_only=True):
    admin_key: w.PathReference
    name: w.Name | UnsetType = UNSET
    active: bool | UnsetType = UNSET


class RotateAdminKey(Verb[NewAdminKeyRecord], frozen=True, kw_only=True):
    """A new key in the place of an old one, with its role, its institution and its expiry."""

    admin_key: w.PathReference
    grace_seconds: w.GraceSeconds = 0
