"""What the catalogue holds before any provider has been asked: the operator's rows, the demo's, and the lists
that were kept in the database."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import lru_cache, partial

from msgspec.structs import replace as changed

from quantized.catalog.catalog import Catalog, Spelling
from quantized.catalog.model import Model
from quantized.catalog.prices import configured_models, known_models, known_spelling
from quantized.catalog.pricing import adjust
from quantized.catalog.refresh import ModelSource
from quantized.core.ports import Clock, Override
from quantized.providers import openrouter
from quantized.providers.anthropic import catalogue as anthropic
from quantized.providers.bedrock import catalogue as bedrock
from quantized.providers.demo_model import DEMO_MODEL
from quantized.providers.openrouter_models import parse_model
from quantized.settings import Settings
from quantized.settings_providers import AnthropicSettings, BedrockSettings, ProviderSettings

_REMEMBERED_NAMES = 1_000
_PAR = 10_000
_PRICED_REGIONS = frozenset({"us-east-1", "us-west-2"})

_log = logging.getLogger("quantized.catalog")


async def stocked_catalog(settings: Settings, clock: Clock) -> Catalog:
    """The catalogue as the settings alone make it."""
    rules = settings.catalog
    catalog = Catalog(markup_bp=rules.markup_bp, overrides=rules.overrides)
    now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
    listing_themselves = {source.provider for source in model_sources(settings)}
    for name, row in settings.providers.items():
        match row:
            case AnthropicSettings():
                models, spelling = await asyncio.to_thread(_anthropic, rules.micro_credits_per_usd, now)
                catalog.replace(name, models, spelling)
            case BedrockSettings():
                models, spelling = await asyncio.to_thread(_bedrock, row, rules.micro_credits_per_usd, now)
                catalog.replace(name, models, spelling)
            case ProviderSettings() if name not in listing_themselves:
                models = await asyncio.to_thread(
                    configured_models, name, row, rules.micro_credits_per_usd, now
                )
                catalog.replace(name, models)
    if settings.demo:
        catalog.replace(DEMO_MODEL.provider, [DEMO_MODEL])
    return catalog


def model_sources(settings: Settings) -> list[ModelSource]:
    """The providers whose own lists are read, and how."""
    row = settings.providers.get(openrouter.NAME)
    if not isinstance(row, ProviderSettings):
        return []
    parse = partial(
        parse_model,
        provider=openrouter.NAME,
        micro_credits_per_usd=settings.catalog.micro_credits_per_usd,
    )
    return [ModelSource(openrouter.NAME, f"{row.base_url.rstrip('/')}/models", (), parse)]


def _anthropic(micro_credits_per_usd: int, now: datetime) -> tuple[list[Model], Spelling]:
    """In a thread: the price list takes its time to be imported."""
    models = anthropic.listed(known_models(anthropic.AUTHOR, micro_credits_per_usd, now))
    spelling = anthropic.spelling(known_spelling(anthropic.AUTHOR))
    return models, lru_cache(_REMEMBERED_NAMES)(spelling)


def _bedrock(row: BedrockSettings, micro_credits_per_usd: int, now: datetime) -> tuple[list[Model], Spelling]:
    """In a thread, likewise."""
    if row.markup_bp is None and row.region not in _PRICED_REGIONS:
        _log.warning(
            "the price list has Bedrock's prices of the United States; in %s models may cost more. Set "
            "[providers.bedrock] markup (1.0 where they do not), or [catalog.overrides.bedrock]",
            row.region,
        )
    read = known_spelling(bedrock.PRICE_LIST)
    priced = [
        changed(model, rates=adjust(model.rates, row.markup_bp or _PAR, None))
        for model in known_models(bedrock.PRICE_LIST, micro_credits_per_usd, now)
    ]
    behind = {arn: profile.model for arn, profile in row.profiles.items()}
    models = [
        _with_own_rates(model, row) if model.native_id in behind else model
        for model in bedrock.listed(priced, read, row.region, row.geography, behind)
    ]
    spelling = bedrock.spelling(read, row.region, row.geography)
    return models, lru_cache(_REMEMBERED_NAMES)(spelling)


def _with_own_rates(model: Model, row: BedrockSettings) -> Model:
    profile = row.profiles[model.native_id]
    rates = adjust(model.rates, _PAR, None if profile.rates == Override() else profile.rates)
    if rates is None:
        _log.warning(
            "[providers.bedrock.profiles] %s: the price list knows no model %s; give it rates, input and "
            "output at least",
            model.native_id,
            profile.model,
        )
    return changed(model, rates=rates)
