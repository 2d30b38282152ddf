"""What verbs answer with as records: what `--json` prints, and what tables choose their columns from."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import asdict

from quantized.administration.records import InstitutionRecord, LicenseTypeRecord, PublicKeyRecord
from quantized.cli.output import Record

ALL_MODELS = "*"
"""The pattern of every model's name."""


def institution_record(row: InstitutionRecord, keys: Sequence[PublicKeyRecord]) -> Record:
    """Of `keys` those that are the institution's."""
    own = [asdict(key) for key in keys if key.institution_id == row.institution_id]
    for key in own:
        del key["institution_id"]
    record = asdict(row)
    created_at = record.pop("created_at")
    return {**record, "public_keys": own, "created_at": created_at}


def license_type_record(row: LicenseTypeRecord) -> Record:
    """`markup` is a factor as text, exact; `overrides` are micro-credits per million. `retention_days`:
    0 is for ever, None is what the settings say. `allowed_models` are patterns; "*" is all. `limits` are
    those that are set."""
    record: dict[str, object] = {}
    for name, value in asdict(row).items():
        match name:
            case "markup_bp":
                record["markup"] = factor_text(value)
            case "allowed_models" | "allowed_providers":
                record[name] = [ALL_MODELS] if value is None else list(value)
            case "overrides":
                record[name] = {model: _said(rates) for model, rates in value.items()}
            case "limits":
                record[name] = _said(value)
            case _:
                record[name] = value
    return record


def _said(values: Struct) -> Record:
    return {name: value for name, value in asdict(values).items() if value is not None}


def factor_text(basis_points: int) -> str:
    """10000 is 1, 12500 is 1.25."""
    whole, rest = divmod(basis_points, 10_000)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".")
