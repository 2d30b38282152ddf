"""The directory's rows as records: what `--json` prints, and what tables choose their columns from."""

from collections.abc import Sequence

from msgspec.structs import asdict

from quantized.cli.output import Record, iso_time
from quantized.core.ports import Override
from quantized.storage.directory_rows import Institution, Key, License, LicenseType, PublicKey

ALL_MODELS = "*"
"""The pattern of every model's name."""


def institution_record(row: Institution, keys: Sequence[PublicKey]) -> Record:
    """Of `keys` those that are the institution's."""
    return {
        "institution_id": row.id,
        "alias": row.alias,
        "name": row.name,
        "public_keys": [public_key_record(key) for key in keys if key.institution_id == row.id],
        "created_at": iso_time(row.created_at),
    }


def public_key_record(row: PublicKey) -> Record:
    return {
        "public_key_id": row.id,
        "kid": row.kid,
        "pem": row.pem,
        "active": row.active,
        "expires_at": iso_time(row.expires_at),
        "created_at": iso_time(row.created_at),
    }


def license_type_record(row: LicenseType) -> Record:
    """`markup` is a factor as text, exact; `overrides` are micro-credits per million. `retention_days`:
    0 is for ever, None is what the settings say. `allowed_models` are patterns; "*" is all. `limits` are
    those that are set."""
    return {
        "license_type_id": row.id,
        "institution_id": row.institution_id,
        "alias": row.alias,
        "name": row.name,
        "markup": factor_text(row.markup_bp),
        "allowed_models": [ALL_MODELS] if row.allowed_models is None else list(row.allowed_models),
        "overrides": {model: rates_record(rates) for model, rates in row.overrides.items()},
        "default_micro_credits": row.default_credits,
        "unlimited": row.unlimited,
        "stores_responses": row.stores_responses,
        "retention_days": row.retention_days,
        "limits": {name: limit for name, limit in asdict(row.limits).items() if limit is not None},
        "token_allowance_micro_credits": row.token_allowance,
        "token_models": row.token_models,
        "allowed_providers": [ALL_MODELS] if row.allowed_providers is None else list(row.allowed_providers),
        "user_allowance_micro_credits": row.user_allowance,
        "created_at": iso_time(row.created_at),
        "updated_at": iso_time(row.updated_at),
    }


def license_record(row: License) -> Record:
    return {
        "license_id": row.id,
        "institution_id": row.institution_id,
        "license_type_id": row.license_type_id,
        "unique_id": row.unique_id,
        "name": row.name,
        "active": row.active,
        "unlimited": row.unlimited,
        "granted_micro_credits": row.granted,
        "used_micro_credits": row.used,
        "held_micro_credits": row.held,
        "available_micro_credits": row.remaining,
        "user_allowance_micro_credits": row.user_allowance,
        "created_at": iso_time(row.created_at),
    }


def key_record(row: Key) -> Record:
    return {
        "key_id": row.id,
        "license_id": row.license_id,
        "prefix": row.prefix,
        "name": row.name,
        "active": row.active,
        "expires_at": iso_time(row.expires_at),
        "user_id": row.user_id,
        "rotated_from": row.rotated_from,
        "created_at": iso_time(row.created_at),
    }


def rates_record(rates: Override) -> Record:
    return {name: rate for name, rate in asdict(rates).items() if rate is not None}


def factor_text(basis_points: int) -> str:
    """10000 is 1, 12500 is 1.25."""
    whole, rest = divmod(basis_points, 10_000)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".")
