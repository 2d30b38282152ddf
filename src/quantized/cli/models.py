"""`quantized models`."""

import asyncio
from contextlib import closing

import click
from msgspec.structs import asdict

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Offer, Rates
from quantized.catalog.refresh import Refresher
from quantized.cli.finding import find
from quantized.cli.output import Record, show_all
from quantized.cli.records import DatabaseCommand, database_url
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.core.ports import Clock, Terms
from quantized.gateway.routing import is_allowed
from quantized.settings import Settings
from quantized.settings_providers import DEMO
from quantized.stock import model_sources, stocked_catalog
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.desk import LICENSE, LICENSE_TYPE

_COLUMNS = (
    "model",
    "provider",
    "input_micro_credits_per_million",
    "cached_read_micro_credits_per_million",
    "output_micro_credits_per_million",
    "context_window",
)


@click.command(cls=DatabaseCommand)
@click.option(
    "--license", "license_", metavar="LICENSE", help="Those that this licence may call, at its rates."
)
@click.option("--provider", help="Only this provider's.")
@json_option
@pass_shell
def models(shell: Shell, license_: str | None, provider: str | None, as_json: bool) -> None:
    """The models that can be called, and their rates in credits per million tokens.

    Known are the models of the settings, and what the gateway last read of providers' own lists. A model
    without a known price cannot be called and is not shown.
    """
    settings = shell.settings()
    _check_provider(provider, settings)
    url = database_url(shell)
    terms = _terms(url, license_) if license_ else Terms("catalogue")
    catalog = asyncio.run(_catalog(settings, url, shell.clock))
    offers = catalog.offers(terms, provider)
    records = [_record(offer) for offer in offers if is_allowed(offer.model.provider, terms)]
    empty = (
        "No model can be called; set OPENROUTER_API_KEY or configure a provider, and start the gateway once."
    )
    show_all(records, _COLUMNS, as_json=as_json, empty=empty)


def _check_provider(name: str | None, settings: Settings) -> None:
    there = [*settings.providers, *([DEMO] if settings.demo else ())]
    if name is not None and name not in there:
        raise click.BadParameter(
            f"no provider {name!r} is set up; there are: {', '.join(sorted(there)) or 'none'}",
            param_hint="--provider",
        )


async def _catalog(settings: Settings, url: str, clock: Clock) -> Catalog:
    catalog = await stocked_catalog(settings, clock)
    with closing(CatalogRows(url)) as rows:
        await Refresher(catalog, model_sources(settings), rows, clock).restore()
    return catalog


def _terms(url: str, license_: str) -> Terms:
    row = find(url, LICENSE_TYPE, find(url, LICENSE, license_).license_type_id)
    return Terms(row.id, row.markup_bp, row.overrides, row.allowed_models, providers=row.allowed_providers)


def _record(offer: Offer) -> Record:
    model = offer.model
    return {
        "model": model.id,
        "provider": model.provider,
        "native_id": model.native_id,
        "name": model.name,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "features": list(model.features),
        **_rates_record(offer.rates),
        "tiers": [{"from_input": tier.from_input, **_rates_record(tier.rates)} for tier in offer.rates.tiers],
    }


def _rates_record(rates: Rates) -> Record:
    return {
        f"{name}_micro_credits_per_million": rate for name, rate in asdict(rates).items() if name != "tiers"
    }
