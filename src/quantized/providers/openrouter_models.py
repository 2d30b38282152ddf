"""One row of OpenRouter's list of models as a model of ours. Pure.

Prices are decimal strings in dollars for one token, request, search or image. What they mean for us:

- A negative price (`openrouter/auto` and other routers: it depends), an unreadable one, or a price for
  something that is not known here leaves the model without a known price.
- `internal_reasoning`, `input_cache_*`, `audio`, `audio_output` and `image_output` are no prices of their own
  where they are absent, "0" or the plain price repeated: those tokens cost the input or output rate, as
  `catalog.model.complete` says, also where that one is overridden.
- A write to a cache cannot be cheaper than plain input. Where it is listed so, what is listed is the storage
  alone, and the rate is the input's and the storage's together.
- `image` tells what a typical image's tokens cost. They are among the prompt tokens already, at the input
  rate, and are not charged twice. Only where input itself has no price would images be given away: then the
  model's price is not known.
- `image_token` above the input price cannot be told apart in the usage: no known price either.
- `input_audio_cache` has no bucket: cached audio costs what the bucket costs that it is reported in.
- `web_search` of "0" or absent: the price of a search is not known.
- `overrides` replace prices for long prompts (`min_prompt_tokens`): these become tiers. Prices that change
  with the time of day are charged at their dearest, because a published rate cannot know the hour.
"""

import math
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec
from msgspec import Raw, Struct

from quantized.catalog.model import Modality, Model, Rates, Tier, complete, dearest, rate
from quantized.core.ports import Override

_RATES = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cached_read",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "audio": "input_audio",
    "internal_reasoning": "reasoning",
    "audio_output": "output_audio",
    "image_output": "output_image",
    "request": "request",
    "web_search": "web_search",
}
_PLAIN = {
    "input_cache_read": "prompt",
    "input_cache_write": "prompt",
    "input_cache_write_1h": "prompt",
    "audio": "prompt",
    "internal_reasoning": "completion",
    "audio_output": "completion",
    "image_output": "completion",
}
_UNMETERED = frozenset({"image", "image_token", "input_audio_cache", "discount"})
_CONDITIONS = frozenset({"min_prompt_tokens", "utc_start", "utc_end", "utc_days"})
_LONGEST_PRICE = 64

_FEATURES = {
    "tools": "tool_calls",
    "parallel_tool_calls": "parallel_tool_calls",
    "structured_outputs": "structured_output",
    "response_format": "json_object",
    "reasoning": "reasoning",
    "logprobs": "logprobs",
    "web_search_options": "web_search",
}

_Prices = dict[str, Decimal]


class _Architecture(Struct, frozen=True):
    input_modalities: tuple[str, ...] | None = None
    output_modalities: tuple[str, ...] | None = None


class _TopProvider(Struct, frozen=True):
    context_length: int | None = None
    max_completion_tokens: int | None = None


class _Row(Struct, frozen=True):
    id: str
    pricing: dict[str, Raw] | None = None
    name: str | None = None
    description: str | None = None
    created: int | None = None
    context_length: int | None = None
    architecture: _Architecture | None = None
    top_provider: _TopProvider | None = None
    supported_parameters: tuple[str, ...] | None = None


class _NoPrice(Exception):
    """The price list says nothing that could be charged."""


# Numbers may come as strings and the other way round; what is no number at all is still an error.
_decoder = msgspec.json.Decoder(_Row, strict=False)


def parse_model(row: bytes, *, provider: str, micro_credits_per_usd: int) -> Model:
    """The model that one element of the list's `data` describes, unpriced where its price is not known.

    Raises ValueError where it describes none.
    """
    listed = _decoder.decode(row)
    if not listed.id:
        raise ValueError("a model without an id")
    architecture = listed.architecture or _Architecture()
    inputs = architecture.input_modalities or ("text",)
    top = listed.top_provider or _TopProvider()
    windows = [length for length in (listed.context_length, top.context_length) if length and length > 0]
    longest = top.max_completion_tokens
    return Model(
        id=listed.id,
        provider=provider,
        native_id=listed.id,
        name=listed.name or listed.id,
        author=listed.id.partition("/")[0].removeprefix("~"),
        rates=_rates(listed.pricing or {}, micro_credits_per_usd),
        description=listed.description or "",
        # The list's own figure is that of the widest endpoint, and any endpoint may answer.
        context_window=max(windows, default=None),
        max_output_tokens=longest if longest and longest > 0 else None,
        input_modality=_modality(inputs),
        output_modality=_modality(architecture.output_modalities or ("text",)),
        features=_features(listed.supported_parameters or (), inputs),
        created=listed.created or 0,
    )


def _modality(names: tuple[str, ...]) -> Modality:
    return Modality(
        text="text" in names, image="image" in names, audio="audio" in names, video="video" in names
    )


def _features(parameters: tuple[str, ...], inputs: tuple[str, ...]) -> tuple[str, ...]:
    features = tuple(feature for name, feature in _FEATURES.items() if name in parameters)
    return (*features, "file_input") if "file" in inputs else features


class _Override(Struct, frozen=True):
    from_input: int
    timed: bool
    prices: _Prices


def _rates(pricing: Mapping[str, Raw], micro_credits_per_usd: int) -> Rates | None:
    try:
        base = _own(_prices({key: raw for key, raw in pricing.items() if key != "overrides"}))
        overrides = [_override(raw) for raw in _listed_overrides(pricing.get("overrides"))]
        return msgspec.structs.replace(
            _rates_from(0, base, overrides, micro_credits_per_usd),
            tiers=tuple(
                Tier(start, _rates_from(start, base, overrides, micro_credits_per_usd))
                for start in sorted({override.from_input for override in overrides} - {0})
            ),
        )
    except _NoPrice:
        return None


def _rates_from(start: int, base: _Prices, overrides: list[_Override], micro_credits_per_usd: int) -> Rates:
    """The rates of an input of `start` tokens and more, at the dearest hour of the day."""
    reached = [override for override in overrides if override.from_input <= start]
    alternatives = []
    for hour in [None, *(override for override in reached if override.timed)]:
        prices = dict(base)
        for override in reached:
            if not override.timed or override is hour:
                prices.update(override.prices)
        alternatives.append(_flat_rates(prices, micro_credits_per_usd))
    return dearest(alternatives)


def _listed_overrides(raw: Raw | None) -> list[dict[str, Raw]]:
    try:
        return [] if raw is None else msgspec.json.decode(raw, type=list[dict[str, Raw]] | None) or []
    except msgspec.DecodeError as error:
        raise _NoPrice from error


def _override(raw: dict[str, Raw]) -> _Override:
    start = _price(raw.get("min_prompt_tokens", Raw(b"0")))
    if not 0 <= start < 2**53:
        raise _NoPrice
    return _Override(
        from_input=math.ceil(start),
        timed=any(key.startswith("utc_") for key in raw),
        prices=_prices({key: value for key, value in raw.items() if key not in _CONDITIONS}),
    )


def _prices(raw: Mapping[str, Raw]) -> _Prices:
    prices = {key: _price(value) for key, value in raw.items() if bytes(value) != b"null"}
    for key, price in prices.items():
        if price < 0 or (price > 0 and key not in _RATES and key not in _UNMETERED):
            raise _NoPrice
    return prices


def _own(prices: _Prices) -> _Prices:
    """Without the prices that only repeat the plain one, so that those follow it where it is overridden."""
    return {
        key: price for key, price in prices.items() if key not in _PLAIN or price != prices.get(_PLAIN[key])
    }


def _price(raw: Raw) -> Decimal:
    """The exact decimal of a JSON number or of a string that holds one."""
    text = bytes(raw).decode().strip('"')
    try:
        price = Decimal(text) if len(text) <= _LONGEST_PRICE else None
    except InvalidOperation:
        price = None
    if price is None or not price.is_finite():
        raise _NoPrice
    return price


def _flat_rates(prices: _Prices, micro_credits_per_usd: int) -> Rates:
    prompt = prices.get("prompt")
    if prompt is None or "completion" not in prices:
        raise _NoPrice
    if prices.get("image_token", 0) > prompt or (prompt == 0 and prices.get("image", 0) > 0):
        raise _NoPrice
    known = {
        name: prices[key]
        for key, name in _RATES.items()
        if key in prices and (prices[key] or key in ("prompt", "completion"))
    }
    for write in ("cache_write", "cache_write_1h"):
        if write in known and known[write] < prompt:
            known[write] += prompt
    try:
        rates = complete(
            Override(**{name: rate(price, 1, micro_credits_per_usd) for name, price in known.items()})
        )
    except ValueError as error:
        raise _NoPrice from error
    if rates is None:
        raise _NoPrice
    return rates
