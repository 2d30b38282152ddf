"""The database's rows as the records that administrators read."""

from msgspec import Raw
from msgspec.structs import asdict

from quantized.administration import records as r
from quantized.administration.words import Rates, TypeLimits, iso_time
from quantized.storage.allowance_rows import Allowance
from quantized.storage.desk_rows import AdminKey, AuditRow, RevokedToken
from quantized.storage.directory_rows import Institution, Key, License, LicenseType, PublicKey
from quantized.storage.records import EntryRow
from quantized.storage.reports import UsageEntry, UsageTotal


def institution(row: Institution) -> r.InstitutionRecord:
    return r.InstitutionRecord(
        institution_id=row.id, alias=row.alias, name=row.name, created_at=iso_time(row.created_at)
    )


def public_key(row: PublicKey) -> r.PublicKeyRecord:
    return r.PublicKeyRecord(
        public_key_id=row.id,
        institution_id=row.institution_id,
        kid=row.kid,
        pem=row.pem,
        active=row.active,
        expires_at=_time(row.expires_at),
        created_at=iso_time(row.created_at),
    )


def revoked_token(row: RevokedToken) -> r.RevokedTokenRecord:
    return r.RevokedTokenRecord(
        institution_id=row.institution_id,
        jti=row.jti,
        reason=row.reason,
        revoked_at=iso_time(row.revoked_at),
    )


def license_type(row: LicenseType) -> r.LicenseTypeRecord:
    return r.LicenseTypeRecord(
        license_type_id=row.id,
        institution_id=row.institution_id,
        alias=row.alias,
        name=row.name,
        markup_bp=row.markup_bp,
        overrides={model: Rates(**asdict(rates)) for model, rates in row.overrides.items()},
        allowed_models=row.allowed_models,
        default_micro_credits=row.default_credits,
        unlimited=row.unlimited,
        stores_responses=row.stores_responses,
        retention_days=row.retention_days,
        limits=TypeLimits(**asdict(row.limits)),
        token_allowance_micro_credits=row.token_allowance,
        token_models=row.token_models,
        allowed_providers=row.allowed_providers,
        user_allowance_micro_credits=row.user_allowance,
        created_at=iso_time(row.created_at),
        updated_at=iso_time(row.updated_at),
    )


def license_(row: License) -> r.LicenseRecord:
    return r.LicenseRecord(
        license_id=row.id,
        institution_id=row.institution_id,
        license_type_id=row.license_type_id,
        unique_id=row.unique_id,
        name=row.name,
        active=row.active,
        unlimited=row.unlimited,
        granted_micro_credits=row.granted,
        used_micro_credits=row.used,
        held_micro_credits=row.held,
        available_micro_credits=row.remaining,
        user_allowance_micro_credits=row.user_allowance,
        created_at=iso_time(row.created_at),
    )


def allowance(row: Allowance) -> r.AllowanceRecord:
    return r.AllowanceRecord(
        license_id=row.license_id,
        user_id=row.user_id,
        own_micro_credits=row.own,
        allowance_micro_credits=row.applies,
        used_micro_credits=row.used,
        held_micro_credits=row.held,
        available_micro_credits=None if row.applies is None else max(0, row.applies - row.used),
    )


def key(row: Key) -> r.KeyRecord:
    return r.KeyRecord(
        key_id=row.id,
        license_id=row.license_id,
        prefix=row.prefix,
        name=row.name,
        active=row.active,
        expires_at=_time(row.expires_at),
        user_id=row.user_id,
        rotated_from=row.rotated_from,
        created_at=iso_time(row.created_at),
    )


def admin_key(row: AdminKey) -> r.AdminKeyRecord:
    return r.AdminKeyRecord(
        admin_key_id=row.id,
        prefix=row.prefix,
        name=row.name,
        role=row.role,
        institution_id=row.institution_id,
        active=row.active,
        expires_at=_time(row.expires_at),
        rotated_from=row.rotated_from,
        created_by=row.created_by,
        created_at=iso_time(row.created_at),
    )


def entry_id(license_id: str, id_: str) -> str:
    """As whoever booked it chose it."""
    return id_.removeprefix(f"{license_id}/")


def entry(row: EntryRow) -> r.EntryRecord:
    return r.EntryRecord(
        license_id=row.license_id,
        seq=row.seq,
        entry_id=None if row.id is None else entry_id(row.license_id, row.id),
        kind=row.kind,
        debit=row.debit,
        credit=row.credit,
        micro_credits=row.amount,
        balance_after_micro_credits=row.balance_after,
        hold_id=row.hold_id,
        request_id=row.request_id,
        reason=row.reason,
        actor=row.actor,
        created_at=iso_time(row.created_at),
    )


def usage(total: UsageTotal) -> r.UsageRecord:
    group = iso_time(total.group)[:10] if isinstance(total.group, int) else total.group
    return r.UsageRecord(
        group=group,
        label=total.label,
        requests=total.requests,
        input=total.input,
        output=total.output,
        charged_micro_credits=total.charged,
        overrun_micro_credits=total.overrun,
        estimated=total.estimated,
    )


def request(row: UsageEntry) -> r.RequestRecord:
    return r.RequestRecord(
        created_at=iso_time(row.created_at),
        request_id=row.request_id,
        hold_id=row.hold_id,
        license_id=row.license_id,
        key_id=row.key_id,
        user_id=row.user_id,
        provider=row.provider,
        model=row.model,
        surface=row.surface,
        outcome=row.outcome,
        input=row.input,
        cached_read=row.cached_read,
        output=row.output,
        reasoning=row.reasoning,
        charged_micro_credits=row.charged,
        overrun_micro_credits=row.overrun,
        estimated=row.estimated,
        first_byte_ms=row.first_byte_ms,
        duration_ms=row.duration_ms,
    )


def audit(row: AuditRow) -> r.AuditRecord:
    return r.AuditRecord(
        seq=row.seq,
        at=iso_time(row.at),
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        role=row.role,
        origin=row.origin,
        request_id=row.request_id,
        institution_id=row.institution_id,
        action=row.action,
        target=row.target,
        target_id=row.target_id,
        reason=row.reason,
        before=_raw(row.before),
        after=_raw(row.after),
        hash=row.hash.hex(),
    )


def _time(at: int | None) -> str | None:
    return None if at is None else iso_time(at)


def _raw(stored: str | None) -> Raw:
    return Raw(b"null" if stored is None else stored.encode())
