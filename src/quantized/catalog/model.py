"""A model as the catalogue knows it, and its rates: the data, and how a price list becomes it."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from msgspec import Struct, convert
from msgspec.structs import asdict, replace

from quantized.core.ports import Override


class Rates(Struct, frozen=True):
    """Integers in micro-credits per million: of tokens, of requests (`request`), of searches (`web_search`).

    One micro-credit per million tokens is the finest price there is: $0.000001 per million tokens at one
    credit per dollar. No rate is ever a float.
    """

    input: int
    output: int
    cached_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    reasoning: int
    output_audio: int
    output_image: int
    request: int = 0
    web_search: int | None = None
    """None where the price of a search is not known; such a search is refused."""
    tiers: tuple["Tier", ...] = ()
    """Rates that replace these for a whole request with a long input, in ascending order of `from_input`."""


class Tier(Struct, frozen=True):
    """`rates` (which have no tiers of their own) hold when all input buckets together reach `from_input`."""

    from_input: int
    rates: Rates


def complete(known: Override, tiers: tuple[Tier, ...] = ()) -> Rates | None:
    """Rates for every bucket out of those that a price list names; None without input and output.

    A bucket without a price of its own costs what its tokens would cost otherwise: cached reads, cache writes
    and audio the input rate, cache writes for an hour the rate of the shorter ones, reasoning, audio and
    images the output rate.
    """
    if known.input is None or known.output is None:
        return None
    cache_write = known.input if known.cache_write is None else known.cache_write
    return Rates(
        input=known.input,
        output=known.output,
        cached_read=known.input if known.cached_read is None else known.cached_read,
        cache_write=cache_write,
        cache_write_1h=cache_write if known.cache_write_1h is None else known.cache_write_1h,
        input_audio=known.input if known.input_audio is None else known.input_audio,
        reasoning=known.output if known.reasoning is None else known.reasoning,
        output_audio=known.output if known.output_audio is None else known.output_audio,
        output_image=known.output if known.output_image is None else known.output_image,
        request=known.request or 0,
        web_search=known.web_search,
        tiers=tiers,
    )


def within(rates: Rates, context_window: int | None) -> Rates:
    """The rates without the tiers of inputs that are longer than the window."""
    if context_window is None:
        return rates
    return replace(rates, tiers=tuple(tier for tier in rates.tiers if tier.from_input <= context_window))


def dearest(alternatives: Iterable[Rates]) -> Rates:
    """Rates that are nowhere below any of the alternatives, of which there is at least one; without tiers.

    For prices that change with the hour of the day: a published rate cannot know the hour.
    """
    highest: dict[str, int] = {}
    for rates in alternatives:
        for name, found in asdict(rates).items():
            if name != "tiers" and found is not None:
                highest[name] = max(found, highest.get(name, 0))
    return convert(highest, Rates)


def rate(usd: Decimal, per: int, micro_credits_per_usd: int) -> int:
    """A price of `usd` dollars for `per` units as a rate, rounded up. Exact whatever the decimal's length.

    Raises ValueError for what is no price: below zero, not a number, or beyond all reason (a million dollars
    for one unit, more than 30 decimals).
    """
    if not usd.is_finite() or usd < 0 or usd >= 1_000_000 * per or (usd and usd.adjusted() < -30):
        raise ValueError(f"not a price: {usd}")
    return -(-Fraction(usd) * micro_credits_per_usd * 1_000_000 // per)


class Modality(Struct, frozen=True):
    text: bool = True
    image: bool = False
    audio: bool = False
    video: bool = False


class Model(Struct, frozen=True):
    """`id` is the public name (`author/model`), `native_id` what the provider is told. `rates` are our own
    before any licence's terms; None where no price is known, and then the model cannot be called.
    Windows are in tokens, None where unknown. One that is not `listed` can be called by those who know it."""

    id: str
    provider: str
    native_id: str
    name: str
    author: str
    rates: Rates | None
    description: str = ""
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_modality: Modality = Modality()
    output_modality: Modality = Modality()
    features: tuple[str, ...] = ()
    created: int = 0
    listed: bool = True


class Offer(Struct, frozen=True):
    """A model at one licence's rates."""

    model: Model
    rates: Rates
