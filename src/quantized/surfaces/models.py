"""The list of models as clients read it, in OpenAI's list shape. Pure.

`cost` tells the caller's own rates in micro-credits for one unit: a token, or for `request` and `web_search`
one request and one search. They are exact decimals of at most six places. `cost_per_million` tells the same
rates as integers. A bill is recomputed from the counts in `usage` as

    credits_used = ceil((Σ cost_per_million[bucket] × tokens in bucket
                         + cost_per_million.request
                         + cost_per_million.web_search × searches) / 1,000,000)

rounded up once, where the buckets are disjoint: `input` counts the prompt tokens that are neither cached,
written to a cache nor audio, `output` the completion tokens that are neither reasoning, audio nor image.
`web_search` is null where searching has no known price; then it cannot be asked for.

`long_input` lists the rates that hold instead, for the whole request, once all prompt tokens together reach
`from_input_tokens`; the entry with the largest such number applies.
"""

from collections.abc import Callable, Iterable

import msgspec

from quantized.catalog.model import Modality, Offer, Rates

_Number = int | msgspec.Raw
_Cost = dict[str, "_Number | list[_Cost] | None"]


def render_models(offers: Iterable[Offer]) -> bytes:
    """The JSON body of `GET /v1/models`."""
    return msgspec.json.encode({"object": "list", "data": [_entry(offer) for offer in offers]})


def render_model(offer: Offer) -> bytes:
    """The JSON body of `GET /v1/models/{id}`."""
    return msgspec.json.encode(_entry(offer))


def _entry(offer: Offer) -> dict[str, object]:
    model = offer.model
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.author,
        "name": model.name,
        "description": model.description,
        "model_author": model.author,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "input_modality": _modality(model.input_modality),
        "output_modality": _modality(model.output_modality),
        "supported_features": model.features,
        "cost": _cost(offer.rates, _per_unit),
        "cost_per_million": _cost(offer.rates, _per_million),
    }


def _modality(modality: Modality) -> dict[str, bool]:
    return {
        "text": modality.text,
        "image": modality.image,
        "audio": modality.audio,
        "video": modality.video,
    }


def _cost(rates: Rates, number: Callable[[int], _Number]) -> _Cost:
    return {
        **_flat_cost(rates, number),
        "long_input": [
            {"from_input_tokens": tier.from_input, **_flat_cost(tier.rates, number)} for tier in rates.tiers
        ],
    }


def _flat_cost(rates: Rates, number: Callable[[int], _Number]) -> _Cost:
    return {
        "input": number(rates.input),
        "cached_input": number(rates.cached_read),
        "cache_write": number(rates.cache_write),
        "cache_write_1h": number(rates.cache_write_1h),
        "input_audio": number(rates.input_audio),
        "output": number(rates.output),
        "reasoning": number(rates.reasoning),
        "output_audio": number(rates.output_audio),
        "output_image": number(rates.output_image),
        "request": number(rates.request),
        "web_search": None if rates.web_search is None else number(rates.web_search),
    }


def _per_million(rate: int) -> _Number:
    return rate


def _per_unit(rate: int) -> _Number:
    """The rate of one unit as a JSON number with exactly the digits it has. Never by way of a float."""
    whole, millionths = divmod(rate, 1_000_000)
    return msgspec.Raw(f"{whole}.{millionths:06d}".rstrip("0").rstrip(".").encode())
