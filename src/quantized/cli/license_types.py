"""`quantized license-type`."""

from collections.abc import Mapping
from typing import Any, Literal

import click
from msgspec.structs import replace

from quantized.administration import verbs
from quantized.administration.records import LicenseTypeRecord
from quantized.administration.words import Rates, TypeLimits
from quantized.cli.acting import act, every, together
from quantized.cli.arguments import ALIAS, CREDITS, FACTOR, NAME, RETENTION, TOKEN_ALLOWANCE
from quantized.cli.limit_options import changes as changes_of_limits
from quantized.cli.limit_options import limit_options
from quantized.cli.output import show, show_all
from quantized.cli.records import DatabaseGroup
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.cli.views import ALL_MODELS, license_type_record
from quantized.settings_schema import MODEL_ID, RATES
from quantized.settings_values import Unfit

_RateChange = tuple[str, str, int]


@click.group(cls=DatabaseGroup)
def license_type() -> None:
    """Licence types: models, rates, mark-up, and what a licence begins with."""


def _judge_rates(
    _ctx: click.Context, param: click.Parameter, values: tuple[tuple[str, str, str], ...]
) -> list[_RateChange]:
    judged = []
    for model, rate, text in values:
        if not MODEL_ID.fullmatch(model):
            raise click.BadParameter(f"{model!r} is no model's name", param=param)
        if rate not in RATES:
            raise click.BadParameter(f"unknown rate {rate!r}; known are {', '.join(RATES)}", param=param)
        kind = RATES[rate]
        try:
            judged.append((model, rate, kind.accept(kind.from_text(text))))
        except Unfit as unfit:
            raise click.BadParameter(
                f"{text!r}: {str(unfit) or f'must be {kind.wants}'}", param=param
            ) from unfit
    return judged


def _judge_models(
    _ctx: click.Context, param: click.Parameter, patterns: tuple[str, ...]
) -> tuple[str, ...] | None:
    for pattern in patterns:
        if not MODEL_ID.fullmatch(pattern):
            raise click.BadParameter(f"{pattern!r} is no pattern of models' names", param=param)
    return patterns or None


_models_option = click.option(
    "--models",
    multiple=True,
    callback=_judge_models,
    metavar="PATTERN",
    help="The models that may be called, such as 'openai/*'; '*' is all. May be repeated; replaces the old.",
)
_rate_option = click.option(
    "--rate",
    "rates",
    type=(str, str, str),
    multiple=True,
    callback=_judge_rates,
    metavar="MODEL RATE CREDITS",
    help="A rate of its own, in credits per million tokens (request, web_search: for one). May be repeated.",
)
_store_option = click.option(
    "--store/--no-store",
    "stores",
    default=None,
    help="Whether responses are stored, so that others can continue them (they are unless told otherwise).",
)
_retention_option = click.option(
    "--retention-days",
    type=RETENTION,
    metavar="DAYS",
    help="For how long; 0 is for ever, 'default' is what the settings say.",
)
_token_allowance_option = click.option(
    "--token-allowance",
    type=TOKEN_ALLOWANCE,
    metavar="CREDITS",
    help="The most that a signed token may claim for the licence it makes; 'none': no token may claim any.",
)
_token_models_option = click.option(
    "--token-models/--no-token-models",
    "token_models",
    default=None,
    help="Whether a signed token may narrow the models (it may not unless told so).",
)
_markup_option = click.option("--markup", type=FACTOR, help="A factor on every catalogue rate, such as 1.2.")


@license_type.command()
@click.argument("institution")
@click.argument("alias", type=ALIAS)
@click.option("--name", type=NAME, help="What people call it; the alias unless given.")
@_markup_option
@_models_option
@_rate_option
@click.option("--credits", "credits_", type=CREDITS, help="What each of its licences begins with.")
@click.option(
    "--unlimited", is_flag=True, help="Its licences have no balance, only a count of what they used."
)
@_store_option
@_retention_option
@_token_allowance_option
@_token_models_option
@limit_options
@json_option
@pass_shell
def create(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    /,
    institution: str,
    alias: str,
    name: str | None,
    markup: int | None,
    models: tuple[str, ...] | None,
    rates: list[_RateChange],
    credits_: int | None,
    unlimited: bool,
    stores: bool | None,
    retention_days: int | Literal["default"] | None,
    token_allowance: int | Literal["none"] | None,
    token_models: bool | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Make a licence type of an institution."""
    if unlimited and credits_ is not None:
        raise click.UsageError("--unlimited and --credits exclude each other.")
    verb = verbs.CreateLicenseType(
        institution=institution,
        alias=alias,
        name=name,
        markup_bp=10_000 if markup is None else markup,
        overrides=_with_rates({}, rates),
        allowed_models=_allowed(models),
        default_micro_credits=credits_,
        unlimited=unlimited,
        stores_responses=stores is not False,
        retention_days=_days(retention_days),
        token_allowance_micro_credits=_allowance(token_allowance),
        token_models=token_models is True,
        **changes_of_limits(TypeLimits(), **limits),
    )
    _show(act(shell, verb), as_json=as_json)


@license_type.command("list")
@click.option("--institution", help="Only this institution's.")
@json_option
@pass_shell
def list_(shell: Shell, institution: str | None, as_json: bool) -> None:
    """All licence types."""
    rows = every(shell, verbs.ListLicenseTypes(institution=institution))
    records = [license_type_record(row) for row in rows]
    columns = (
        "alias",
        "name",
        "markup",
        "allowed_models",
        "default_micro_credits",
        "unlimited",
        "license_type_id",
    )
    empty = "There is no licence type; make one with: quantized license-type create INSTITUTION ALIAS"
    show_all(records, columns, as_json=as_json, empty=empty)


@license_type.command("show")
@click.argument("type_", metavar="TYPE")
@json_option
@pass_shell
def show_(shell: Shell, type_: str, as_json: bool) -> None:
    """One licence type; TYPE may be INSTITUTION/ALIAS."""
    _show(act(shell, verbs.ShowLicenseType(license_type=type_)), as_json=as_json)


@license_type.command()
@click.argument("type_", metavar="TYPE")
@click.option("--name", type=NAME, help="Its new name.")
@_markup_option
@_models_option
@_rate_option
@click.option(
    "--drop-rates", multiple=True, metavar="MODEL", help="The catalogue's rates again. May be repeated."
)
@click.option("--credits", "credits_", type=CREDITS, help="What licences made from now on begin with.")
@_store_option
@_retention_option
@_token_allowance_option
@_token_models_option
@limit_options
@json_option
@pass_shell
def update(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    /,
    type_: str,
    name: str | None,
    markup: int | None,
    models: tuple[str, ...] | None,
    rates: list[_RateChange],
    drop_rates: tuple[str, ...],
    credits_: int | None,
    stores: bool | None,
    retention_days: int | Literal["default"] | None,
    token_allowance: int | Literal["none"] | None,
    token_models: bool | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Change a licence type. It counts for requests that begin a few seconds later."""
    said = {
        "name": name,
        "markup_bp": markup,
        "default_micro_credits": credits_,
        "stores_responses": stores,
        "token_models": token_models,
    }
    changes: dict[str, Any] = {field: value for field, value in said.items() if value is not None}
    if retention_days is not None:
        changes["retention_days"] = _days(retention_days)
    if token_allowance is not None:
        changes["token_allowance_micro_credits"] = _allowance(token_allowance)
    if models is not None:
        changes["allowed_models"] = _allowed(models)
    said_of_limits = any(value not in (None, ()) for value in limits.values())
    if not changes and not rates and not drop_rates and not said_of_limits:
        raise click.UsageError("Say what to change; --help lists what there is.")

    with together(shell) as say:
        old = say(verbs.ShowLicenseType(license_type=type_))
        changes |= changes_of_limits(old.limits, **limits)
        if rates or drop_rates:
            unknown = [model for model in drop_rates if model not in old.overrides]
            if unknown:
                raise click.ClickException(f"{old.alias} has no rates of its own for {', '.join(unknown)}")
            kept = {model: own for model, own in old.overrides.items() if model not in drop_rates}
            changes["overrides"] = _with_rates(kept, rates)
        new = say(verbs.UpdateLicenseType(license_type=old.license_type_id, **changes))
    _show(new, as_json=as_json)


def _show(row: LicenseTypeRecord, *, as_json: bool) -> None:
    show(license_type_record(row), as_json=as_json)


def _days(said: int | Literal["default"] | None) -> int | None:
    return None if said == "default" else said


def _allowance(said: int | Literal["none"] | None) -> int | None:
    return None if said == "none" else said


def _allowed(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if patterns is None or ALL_MODELS in patterns else patterns


def _with_rates(overrides: Mapping[str, Rates], rates: list[_RateChange]) -> dict[str, Rates]:
    changed = dict(overrides)
    for model, rate, value in rates:
        changed[model] = replace(changed.get(model, Rates()), **{rate: value})
    return changed
