"""Licence types: what an operator bounds, and what of it is the institution's own."""

from uuid import uuid4

from msgspec import UnsetType
from msgspec.structs import asdict

from quantized.administration import verbs as v
from quantized.administration import views
from quantized.administration.acting import Acting, Done, page, said
from quantized.administration.faults import Forbidden, Unfit
from quantized.administration.records import LicenseTypeRecord, Page
from quantized.administration.words import Rates, TypeLimits
from quantized.core.limits import Limits
from quantized.core.ports import Override
from quantized.storage.desk import INSTITUTION, LICENSE_TYPE
from quantized.storage.directory_rows import LicenseType, type_columns

_INSTITUTIONS_OWN = frozenset(
    {
        "name",
        "default_micro_credits",
        "stores_responses",
        "retention_days",
        "token_models",
        "user_allowance_micro_credits",
    }
)
"""What an institution's admin may change of a type. Rates, models and limits are what the operator agreed on
with it; how it spreads its credits and what is kept of its people's words is its own business."""

_AMOUNTS = {
    "default_micro_credits": "default_credits",
    "token_allowance_micro_credits": "token_allowance",
    "user_allowance_micro_credits": "user_allowance",
}
"""What is called otherwise in the database."""


def list_license_types(acting: Acting, verb: v.ListLicenseTypes) -> Page[LicenseTypeRecord]:
    rows, following = acting.listed(LICENSE_TYPE, verb, verb.institution)
    return page([views.license_type(row) for row in rows], following)


def show_license_type(acting: Acting, verb: v.ShowLicenseType) -> LicenseTypeRecord:
    return views.license_type(acting.find(LICENSE_TYPE, verb.license_type))


def create_license_type(acting: Acting, verb: v.CreateLicenseType) -> Done[LicenseTypeRecord]:
    owner = acting.find(INSTITUTION, verb.institution)
    _require_one_beginning(verb.default_micro_credits, verb.unlimited)
    row = LicenseType(
        id=str(uuid4()),
        institution_id=owner.id,
        alias=verb.alias,
        name=verb.name or verb.alias,
        markup_bp=verb.markup_bp,
        overrides=_overrides(verb.overrides),
        default_credits=verb.default_micro_credits,
        unlimited=verb.unlimited,
        created_at=acting.now,
        updated_at=acting.now,
        stores_responses=verb.stores_responses,
        retention_days=verb.retention_days,
        allowed_models=verb.allowed_models,
        limits=_limits(verb.limits),
        token_allowance=verb.token_allowance_micro_credits,
        token_models=verb.token_models,
        allowed_providers=verb.allowed_providers,
        user_allowance=verb.user_allowance_micro_credits,
    )
    record = views.license_type(acting.session.add_license_type(row))
    return Done(record, "licence type", row.id, owner.id, None, record)


def update_license_type(acting: Acting, verb: v.UpdateLicenseType) -> Done[LicenseTypeRecord]:
    old = acting.find(LICENSE_TYPE, verb.license_type)
    fields = {name: getattr(verb, name) for name in verb.__struct_fields__ if name != "license_type"}
    changes = said(**fields)
    if acting.actor.role != "operator" and (bound := sorted(changes.keys() - _INSTITUTIONS_OWN)):
        own = ", ".join(sorted(_INSTITUTIONS_OWN))
        raise Forbidden(
            f"Only an operator sets '{bound[0]}'; an institution's admin sets {own}.", param=bound[0]
        )
    for said_as, column in _AMOUNTS.items():
        if said_as in changes:
            changes[column] = changes.pop(said_as)
    if not isinstance(verb.overrides, UnsetType):
        changes["overrides"] = _overrides(verb.overrides)
    if not isinstance(verb.limits, UnsetType):
        changes["limits"] = _limits(verb.limits)
    _require_one_beginning(
        changes.get("default_credits", old.default_credits), changes.get("unlimited", old.unlimited)
    )
    # Rates are cached by this time, so that it must never stay the same.
    changed_at = max(acting.now, old.updated_at + 1)
    row = acting.session.set(LICENSE_TYPE, old.id, **type_columns(changes), updated_at=changed_at)
    new = views.license_type(row)
    return Done(new, "licence type", old.id, old.institution_id, views.license_type(old), new)


def _require_one_beginning(credits_: object, unlimited: object) -> None:
    if unlimited and credits_ is not None:
        raise Unfit("unlimited", "it and default_micro_credits exclude each other")


def _overrides(said_: dict[str, Rates]) -> dict[str, Override]:
    return {model: Override(**asdict(rates)) for model, rates in said_.items()}


def _limits(said_: TypeLimits) -> Limits:
    return Limits(**asdict(said_))
