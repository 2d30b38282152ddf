"""Prices and context windows of other providers than OpenRouter: what the operator wrote, and what the
`genai-prices` package knows.

Importing that package costs half a second, so it is imported when first asked and never on the event loop's
critical path: call these functions in a thread, or before the server listens.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace as changed

from quantized.catalog.model import Modality, Model, Rates, Tier, complete, dearest, rate
from quantized.catalog.pricing import adjust
from quantized.core.ports import Override
from quantized.settings_providers import ModelSettings, ProviderSettings

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

_RATES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "requests_kcount": "request",
    "web_searches_kcount": "web_search",
}
_PER = {"requests_kcount": 1_000, "web_searches_kcount": 1_000}
# Cached audio and images cost what the bucket costs that they are reported in; file search is not offered.
_UNMETERED = frozenset({"cache_audio_read_mtok", "cache_image_read_mtok", "storage_searches_kcount"})


class _NoPrice(Exception):
    """The price list says nothing that could be charged."""


def known_models(
    provider_id: str, micro_credits_per_usd: int, now: datetime, *, provider: str | None = None
) -> list[Model]:
    """Every model that the price list has of its provider `provider_id` (anthropic, aws, openai, …), under
    our provider name `provider` (default: the same). Empty where it knows no such provider.

    `now` picks among prices that change on a date. A price that changes with the hour of the day is the
    dearest of the day. A model with a price for something that usage does not count has no known price.
    """
    listed = _provider(provider_id)
    models = () if listed is None else listed.models
    return [_model(info, provider_id, provider or provider_id, micro_credits_per_usd, now) for info in models]


def known_spelling(provider_id: str) -> Callable[[str], str | None]:
    """How the price list reads a model's name: the native id of the one of `known_models` that it means, by
    dates, aliases and older spellings too; None where it means none."""
    listed = _provider(provider_id)

    def native_id(name: str) -> str | None:
        info = None if listed is None else listed.find_model(name)
        return None if info is None else info.id

    return native_id


def configured_models(
    name: str, settings: ProviderSettings, micro_credits_per_usd: int, now: datetime
) -> list[Model]:
    """The rows of one provider in the operator's file, in their order.

    A row's own rates come first. What it leaves out is taken from the price list where that knows both the
    host of `base_url` and the model; a row with neither has no known price and cannot be called.
    """
    listed = None
    if any(complete(row.rates) is None for row in settings.models.values()):
        listed = _provider_at(settings.base_url)
    models = []
    for model_id, row in settings.models.items():
        info = None if listed is None else listed.find_model(row.native_id or model_id)
        known = None if info is None else _model(info, name, name, micro_credits_per_usd, now)
        models.append(_configured(name, model_id, row, known))
    return models


def _configured(provider: str, model_id: str, row: ModelSettings, known: Model | None) -> Model:
    author, slash, _ = model_id.partition("/")
    return Model(
        id=model_id,
        provider=provider,
        native_id=row.native_id or model_id,
        name=row.name or model_id,
        author=author if slash else provider,
        rates=adjust(known.rates if known else None, 10_000, row.rates),
        description=known.description if known else "",
        context_window=row.context_window or (known.context_window if known else None),
        max_output_tokens=row.max_output_tokens,
        input_modality=Modality(image=row.image, audio=row.audio),
        features=row.features,
    )


def _provider(provider_id: str) -> "Provider | None":
    # Half a second of import time, which only those pay who ask.
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    return next((found for found in get_snapshot().providers if found.id == provider_id), None)


def _provider_at(base_url: str) -> "Provider | None":
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    try:
        return get_snapshot().find_provider(None, None, base_url)
    except LookupError:
        return None


def _model(info: "ModelInfo", author: str, provider: str, micro_credits_per_usd: int, now: datetime) -> Model:
    listed_author, slash, _ = info.id.partition("/")
    return Model(
        id=info.id if slash else f"{author}/{info.id}",
        provider=provider,
        native_id=info.id,
        name=info.name or info.id,
        author=listed_author if slash else author,
        rates=_rates(info, micro_credits_per_usd, now),
        description=info.description or "",
        context_window=info.context_window,
    )


def _rates(info: "ModelInfo", micro_credits_per_usd: int, now: datetime) -> Rates | None:
    alternatives = _alternatives(info, now)
    listed = [price for prices in alternatives for _, price in _items(prices)]
    starts = sorted(
        {tier.start for price in listed if not isinstance(price, Decimal) for tier in price.tiers}
    )
    try:
        # The list means "more than", a tier of ours "from … on".
        flat, *long = [
            _rates_from(at, alternatives, micro_credits_per_usd) for at in [0, *(s + 1 for s in starts)]
        ]
    except _NoPrice:
        return None
    tiers = tuple(Tier(start + 1, rates) for start, rates in zip(starts, long, strict=True))
    return changed(flat, tiers=tiers)


def _alternatives(info: "ModelInfo", now: datetime) -> "list[ModelPrice]":
    """The prices of the day: the last that has started, and those after it for certain hours."""
    if not isinstance(info.prices, list):
        return [info.prices]
    found: list[ModelPrice] = []
    for conditional in info.prices:
        match conditional.constraint:
            case None:
                found = [conditional.prices]
            case constraint if hasattr(constraint, "start_time"):
                found.append(conditional.prices)
            case constraint if constraint.active(now):
                found = [conditional.prices]
    return found


def _items(prices: "ModelPrice") -> "list[tuple[str, Decimal | TieredPrices]]":
    return [(key, price) for key, price in vars(prices).items() if price is not None]


def _rates_from(input_tokens: int, alternatives: "list[ModelPrice]", micro_credits_per_usd: int) -> Rates:
    return dearest(_flat_rates(prices, input_tokens, micro_credits_per_usd) for prices in alternatives)


def _flat_rates(prices: "ModelPrice", input_tokens: int, micro_credits_per_usd: int) -> Rates:
    usd = {key: _price_at(price, input_tokens) for key, price in _items(prices)}
    # Image tokens of the input cannot be told apart in the usage: dearer ones would be given away.
    if usd.pop("input_image_mtok", Decimal(0)) > usd.get("input_mtok", Decimal(0)):
        raise _NoPrice
    known = {}
    for key, price in usd.items():
        if key in _RATES:
            known[_RATES[key]] = rate(price, _PER.get(key, 1_000_000), micro_credits_per_usd)
        elif price and key not in _UNMETERED:
            raise _NoPrice
    rates = complete(Override(**known))
    if rates is None:
        raise _NoPrice
    return rates


def _price_at(price: "Decimal | TieredPrices", input_tokens: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return reached[-1] if reached else price.base
