"""What the catalogue holds before any provider has been asked: the operator's rows, the demo's, and the lists
that were kept in the database."""

import asyncio
from datetime import UTC, datetime
from functools import lru_cache, partial

from quantized.catalog.catalog import Catalog, Spelling
from quantized.catalog.model import Model
from quantized.catalog.prices import configured_models, known_models, known_spelling
from quantized.catalog.refresh import ModelSource
from quantized.core.ports import Clock
from quantized.providers import openrouter
from quantized.providers.anthropic import catalogue as anthropic
from quantized.providers.bedrock import catalogue as bedrock
from quantized.providers.demo_model import DEMO_MODEL
from quantized.providers.openrouter_models import parse_model
from quantized.settings import Settings
from quantized.settings_providers import AnthropicSettings, BedrockSettings, ProviderSettings

_REMEMBERED_NAMES = 1_000


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
            case BedrockSettings(region):
                models, spelling = await asyncio.to_thread(_bedrock, region, rules.micro_credits_per_usd, now)
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


def _bedrock(region: str, micro_credits_per_usd: int, now: datetime) -> tuple[list[Model], Spelling]:
    """In a thread, likewise."""
    read = known_spelling(bedrock.PRICE_LIST)
    models = bedrock.listed(known_models(bedrock.PRICE_LIST, micro_credits_per_usd, now), read, region)
    return models, lru_cache(_REMEMBERED_NAMES)(bedrock.spelling(read, region))
