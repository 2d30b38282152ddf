"""The only cost arithmetic there is. Pure, integers only, rounded up once per request.

    price = ceil((Σ rate of a bucket × its tokens + request + web_search × searches) / 1,000,000)

Rates are in micro-credits per million, results in micro-credits.
"""

from quantized.catalog.model import Rates, Tier, complete
from quantized.core.ports import Override, Terms
from quantized.core.usage import Usage

UNLIMITED = 2**63 - 1
"""Output tokens that any balance affords: output costs nothing."""

_MILLION = 1_000_000
_PAR = 10_000


def price(rates: Rates, usage: Usage) -> int:
    """Micro-credits for what was used.

    A search that nobody could have been quoted (`web_search` is None, so asking for one is refused) is free.
    """
    rates = _rates_for(rates, usage.input_total)
    total = (
        rates.input * usage.input
        + rates.cached_read * usage.cached_read
        + rates.cache_write * usage.cache_write
        + rates.cache_write_1h * usage.cache_write_1h
        + rates.input_audio * usage.input_audio
        + rates.output * usage.output
        + rates.reasoning * usage.reasoning
        + rates.output_audio * usage.output_audio
        + rates.output_image * usage.output_image
        + (rates.web_search or 0) * usage.web_searches
        + rates.request
    )
    return -(-total // _MILLION)


def worst_cases(rates: Rates, input_bound: int, output_cap: int, searches: int) -> tuple[int, int]:
    """Micro-credits that no usage within these totals can exceed, and none with one output token: each input
    token at the dearest input rate, each output token at the dearest output rate, of every tier that the
    input could reach."""
    fixed, per_output = _dearest(rates, input_bound, searches)
    return -(-(fixed + per_output * output_cap) // _MILLION), -(-(fixed + per_output) // _MILLION)


def affordable_output(rates: Rates, input_bound: int, granted: int, searches: int) -> int:
    """The largest number of output tokens whose worst case is within `granted` micro-credits.

    0 when not one is; UNLIMITED when output costs nothing.
    """
    fixed, per_output = _dearest(rates, input_bound, searches)
    left = granted * _MILLION - fixed
    if left < 0:
        return 0
    return left // per_output if per_output else UNLIMITED


def derive(base: Rates | None, terms: Terms, model_id: str) -> Rates | None:
    """The rates of a licence type for one model; None where neither the catalogue nor the terms know them."""
    return adjust(base, terms.markup_bp, terms.overrides.get(model_id))


def adjust(base: Rates | None, markup_bp: int, override: Override | None) -> Rates | None:
    """`base` with the mark-up on each rate, rounded up, and then the override's rates in place.

    The mark-up does not apply to an override: who names a rate means that rate, for inputs of any length.
    Without a base, an override that names input and output is one.
    """
    if base is None:
        return None if override is None else complete(override)
    marked = base if markup_bp == _PAR else _mark_up(base, markup_bp)
    return marked if override is None else _replace(marked, override)


def _rates_for(rates: Rates, input_tokens: int) -> Rates:
    chosen = rates
    for tier in rates.tiers:
        if input_tokens < tier.from_input:
            break
        chosen = tier.rates
    return chosen


def _dearest(rates: Rates, input_bound: int, searches: int) -> tuple[int, int]:
    """Millionths of a micro-credit: for input, searches and the request, and for each output token."""
    fixed, per_output = _ceiling(rates, input_bound, searches)
    for tier in rates.tiers:
        if input_bound < tier.from_input:
            break
        tier_fixed, tier_per_output = _ceiling(tier.rates, input_bound, searches)
        fixed, per_output = max(fixed, tier_fixed), max(per_output, tier_per_output)
    return fixed, per_output


def _ceiling(rates: Rates, input_bound: int, searches: int) -> tuple[int, int]:
    dearest_input = max(
        rates.input, rates.cached_read, rates.cache_write, rates.cache_write_1h, rates.input_audio
    )
    dearest_output = max(rates.output, rates.reasoning, rates.output_audio, rates.output_image)
    fixed = dearest_input * input_bound + (rates.web_search or 0) * searches + rates.request
    return fixed, dearest_output


def _mark_up(rates: Rates, markup_bp: int) -> Rates:
    def marked(rate: int) -> int:
        return -(-rate * markup_bp // _PAR)

    return Rates(
        input=marked(rates.input),
        output=marked(rates.output),
        cached_read=marked(rates.cached_read),
        cache_write=marked(rates.cache_write),
        cache_write_1h=marked(rates.cache_write_1h),
        input_audio=marked(rates.input_audio),
        reasoning=marked(rates.reasoning),
        output_audio=marked(rates.output_audio),
        output_image=marked(rates.output_image),
        request=marked(rates.request),
        web_search=None if rates.web_search is None else marked(rates.web_search),
        tiers=tuple(Tier(tier.from_input, _mark_up(tier.rates, markup_bp)) for tier in rates.tiers),
    )


def _replace(rates: Rates, override: Override) -> Rates:
    def chosen(own: int | None, rate: int) -> int:
        return rate if own is None else own

    return Rates(
        input=chosen(override.input, rates.input),
        output=chosen(override.output, rates.output),
        cached_read=chosen(override.cached_read, rates.cached_read),
        cache_write=chosen(override.cache_write, rates.cache_write),
        cache_write_1h=chosen(override.cache_write_1h, rates.cache_write_1h),
        input_audio=chosen(override.input_audio, rates.input_audio),
        reasoning=chosen(override.reasoning, rates.reasoning),
        output_audio=chosen(override.output_audio, rates.output_audio),
        output_image=chosen(override.output_image, rates.output_image),
        request=chosen(override.request, rates.request),
        web_search=rates.web_search if override.web_search is None else override.web_search,
        tiers=tuple(Tier(tier.from_input, _replace(tier.rates, override)) for tier in rates.tiers),
    )
