"""The arithmetic of prices, held against exact fractions."""

import dis
import inspect
import math
from decimal import Decimal
from fractions import Fraction
from types import CodeType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import asdict, replace

from quantized.catalog import model as model_module
from quantized.catalog import pricing
from quantized.catalog.model import Model, Offer, Rates, Tier, complete, dearest, rate
from quantized.catalog.pricing import UNLIMITED, adjust, affordable_output, derive, price, worst_cases
from quantized.core.ports import Override, Terms
from quantized.core.usage import Usage
from quantized.surfaces.models import render_model

_INPUTS = ("input", "cached_read", "cache_write", "cache_write_1h", "input_audio")
_OUTPUTS = ("output", "reasoning", "output_audio", "output_image")
_BUCKETS = (*_INPUTS, *_OUTPUTS)

_amounts = st.integers(0, 200_000_000)
_counts = st.integers(0, 3_000_000)
_usages = st.builds(Usage, **dict.fromkeys(_BUCKETS, _counts), web_searches=st.integers(0, 20))
_flat = st.builds(
    Rates,
    **dict.fromkeys(_BUCKETS, _amounts),
    request=_amounts,
    web_search=st.none() | _amounts,
    tiers=st.just(()),
)


@st.composite
def _tiered(draw: st.DrawFn) -> Rates:
    starts = sorted(draw(st.sets(st.integers(1, 5_000_000), max_size=3)))
    return replace(draw(_flat), tiers=tuple(Tier(start, draw(_flat)) for start in starts))


_overrides = st.builds(
    Override, **dict.fromkeys((*_BUCKETS, "request", "web_search"), st.none() | st.integers(0, 10**9))
)


def _exact(rates: Rates, usage: Usage) -> int:
    """The formula as the models list documents it, in fractions."""
    for tier in rates.tiers:
        if usage.input_total >= tier.from_input:
            rates = replace(tier.rates, tiers=rates.tiers)
    counts = asdict(usage)
    total = sum(Fraction(getattr(rates, bucket), 1_000_000) * counts[bucket] for bucket in _BUCKETS)
    total += Fraction(rates.request, 1_000_000)
    total += Fraction(rates.web_search or 0, 1_000_000) * usage.web_searches
    return math.ceil(total)


def worst_case(rates: Rates, input_bound: int, output_cap: int, searches: int) -> int:
    whole, of_one_token = worst_cases(rates, input_bound, output_cap, searches)
    assert of_one_token == worst_cases(rates, input_bound, 1, searches)[0]
    return whole


def test_a_price_by_hand() -> None:
    rates = complete(Override(input=400_000, output=1_600_000, cached_read=100_000))
    assert rates is not None
    # 25 × 0.4 + 8 × 1.6 = 22.8
    assert price(rates, Usage(input=25, output=8)) == 23
    # 1,000 × 0.1 + 5 × 0.4 + 2 × 1.6 + 3 × 1.6 = 110
    assert price(rates, Usage(input=5, cached_read=1_000, output=2, reasoning=3)) == 110


def test_requests_and_searches_have_prices_of_their_own() -> None:
    rates = complete(Override(input=0, output=0, request=5_000_000_000, web_search=10_000_000_000))
    assert rates is not None
    assert price(rates, Usage()) == 5_000
    assert price(rates, Usage(web_searches=2)) == 25_000
    assert worst_case(rates, 0, 0, 3) == 35_000


def test_a_free_model_costs_nothing() -> None:
    rates = complete(Override(input=0, output=0))
    assert rates is not None
    assert price(rates, Usage(input=10**9, output=10**9, reasoning=5)) == 0
    assert affordable_output(rates, 10**9, 0, 0) == UNLIMITED


@given(_tiered(), _usages)
def test_prices_are_the_published_formula_rounded_up_once(rates: Rates, usage: Usage) -> None:
    assert price(rates, usage) == _exact(rates, usage)


@given(_flat, _usages, st.sampled_from((*_BUCKETS, "web_searches")), st.integers(1, 1_000_000))
def test_more_use_never_costs_less(rates: Rates, usage: Usage, bucket: str, more: int) -> None:
    used_more = replace(usage, **{bucket: getattr(usage, bucket) + more})
    assert price(rates, used_more) >= price(rates, usage)


@given(_flat, _usages, st.sampled_from((*_BUCKETS, "request")), st.integers(1, 10**9))
def test_dearer_rates_never_cost_less(rates: Rates, usage: Usage, name: str, more: int) -> None:
    assert price(replace(rates, **{name: getattr(rates, name) + more}), usage) >= price(rates, usage)


@given(_tiered(), _usages, st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 3))
def test_no_usage_within_its_bounds_exceeds_the_worst_case(
    rates: Rates, usage: Usage, spare_input: int, spare_output: int, spare_searches: int
) -> None:
    bound = worst_case(
        rates,
        usage.input_total + spare_input,
        usage.output_total + spare_output,
        usage.web_searches + spare_searches,
    )
    assert price(rates, usage) <= bound


@given(_flat, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 3))
def test_the_worst_case_can_happen(rates: Rates, tokens_in: int, tokens_out: int, searches: int) -> None:
    dearest_input = max(_INPUTS, key=lambda name: getattr(rates, name))
    dearest_output = max(_OUTPUTS, key=lambda name: getattr(rates, name))
    usage = Usage(**{dearest_input: tokens_in, dearest_output: tokens_out, "web_searches": searches})
    assert price(rates, usage) == worst_case(rates, tokens_in, tokens_out, searches)


@given(_tiered(), _counts, st.integers(0, 10**10), st.integers(0, 3))
def test_affordable_output_is_the_inverse_of_the_worst_case(
    rates: Rates, bound: int, granted: int, searches: int
) -> None:
    most = affordable_output(rates, bound, granted, searches)
    if most == UNLIMITED:
        assert worst_case(rates, bound, 10**12, searches) == worst_case(rates, bound, 0, searches) <= granted
        return
    assert worst_case(rates, bound, most + 1, searches) > granted
    assert most == 0 or worst_case(rates, bound, most, searches) <= granted


def test_a_long_input_is_charged_at_its_tier_from_the_first_token_on() -> None:
    short = complete(Override(input=1_000_000, output=2_000_000))
    long = complete(Override(input=3_000_000, output=4_000_000))
    assert short is not None
    assert long is not None
    rates = replace(short, tiers=(Tier(100, long),))
    assert price(rates, Usage(input=99, output=1)) == 101
    assert price(rates, Usage(input=50, cached_read=50, output=1)) == 304
    assert worst_case(rates, 99, 1, 0) == 101
    assert worst_case(rates, 100, 1, 0) == 304


@given(_tiered(), st.integers(0, 100_000))
def test_a_markup_is_on_every_rate_and_rounds_each_up(rates: Rates, markup: int) -> None:
    marked = adjust(rates, markup, None)
    assert marked is not None
    for before, after in zip(_every_rate(rates), _every_rate(marked), strict=True):
        assert after == math.ceil(Fraction(before * markup, 10_000))
    assert [tier.from_input for tier in marked.tiers] == [tier.from_input for tier in rates.tiers]


def _every_rate(rates: Rates) -> list[int]:
    own = [found for name, found in asdict(rates).items() if name != "tiers" and found is not None]
    return own + [found for tier in rates.tiers for found in _every_rate(tier.rates)]


@given(_tiered(), _overrides, st.integers(0, 100_000))
def test_an_override_is_the_rate_itself_whatever_the_markup(
    rates: Rates, override: Override, markup: int
) -> None:
    derived = derive(rates, Terms("t", markup, {"m": override}), "m")
    plain = derive(rates, Terms("t", markup, {"other": override}), "m")
    assert derived is not None
    assert plain is not None
    for name, own in asdict(override).items():
        assert getattr(derived, name) == (getattr(plain, name) if own is None else own)
        for tier, plain_tier in zip(derived.tiers, plain.tiers, strict=True):
            assert getattr(tier.rates, name) == (getattr(plain_tier.rates, name) if own is None else own)


def test_terms_alone_can_price_a_model_when_they_say_enough() -> None:
    assert derive(None, Terms("t"), "m") is None
    assert derive(None, Terms("t", overrides={"m": Override(input=5)}), "m") is None
    priced = derive(None, Terms("t", 20_000, {"m": Override(input=5, output=7)}), "m")
    assert priced == complete(Override(input=5, output=7))
    assert priced is not None
    assert (priced.cached_read, priced.reasoning, priced.web_search) == (5, 7, None)


def test_buckets_without_a_price_cost_what_their_tokens_would_cost_otherwise() -> None:
    rates = complete(Override(input=10, output=20, cache_write=15))
    assert rates == Rates(
        input=10,
        output=20,
        cached_read=10,
        cache_write=15,
        cache_write_1h=15,
        input_audio=10,
        reasoning=20,
        output_audio=20,
        output_image=20,
    )


@given(st.lists(_flat, min_size=1, max_size=4), _usages)
def test_the_dearest_of_several_rates_covers_each(alternatives: list[Rates], usage: Usage) -> None:
    assert price(dearest(alternatives), usage) >= max(price(rates, usage) for rates in alternatives)


@given(_tiered(), _usages)
def test_the_published_decimals_reproduce_the_charge(rates: Rates, usage: Usage) -> None:
    """What a caller computes from the list, in decimals or in integers, is what was charged."""
    model = Model(id="a/m", provider="p", native_id="m", name="M", author="a", rates=rates)
    body = render_model(Offer(model, rates))
    published = _decimals(body)
    for kind, unit in (("cost", Decimal(1)), ("cost_per_million", Decimal(1_000_000))):
        cost = published[kind]
        for tier in cost["long_input"]:
            if usage.input_total >= tier["from_input_tokens"]:
                cost = {**cost, **tier}
        total = (
            cost["input"] * usage.input
            + cost["cached_input"] * usage.cached_read
            + cost["cache_write"] * usage.cache_write
            + cost["cache_write_1h"] * usage.cache_write_1h
            + cost["input_audio"] * usage.input_audio
            + cost["output"] * usage.output
            + cost["reasoning"] * usage.reasoning
            + cost["output_audio"] * usage.output_audio
            + cost["output_image"] * usage.output_image
            + cost["request"]
            + (cost["web_search"] or 0) * usage.web_searches
        )
        assert math.ceil(total / unit) == price(rates, usage)


def _decimals(body: bytes) -> dict[str, dict[str, object]]:
    decoded: dict[str, dict[str, object]] = json.Decoder(float_hook=Decimal).decode(body)
    return decoded


@pytest.mark.parametrize(
    ("usd", "per", "credits_per_usd", "expected"),
    [
        ("0.0000004", 1, 1_000_000, 400_000),
        ("0.4", 1_000_000, 1_000_000, 400_000),
        ("10", 1_000, 1_000_000, 10_000_000_000),
        ("0.00000008333333333333334", 1, 1_000_000, 83_334),
        ("0.000000000000000000000000000001", 1, 1_000_000, 1),
        ("2E-8", 1, 1_000_000, 20_000),
        ("0", 1, 1_000_000, 0),
        ("0.0000004", 1, 1, 1),
    ],
)
def test_dollars_become_rates_rounded_up(usd: str, per: int, credits_per_usd: int, expected: int) -> None:
    assert rate(Decimal(usd), per, credits_per_usd) == expected


@pytest.mark.parametrize("usd", ["-1", "NaN", "Infinity", "-0.0001", "1000000", "1e-31", "1e-999999999"])
def test_what_is_no_price_is_refused(usd: str) -> None:
    with pytest.raises(ValueError, match="not a price"):
        rate(Decimal(usd), 1, 1_000_000)


@given(st.decimals(0, 100, places=24), st.sampled_from([1, 1_000, 1_000_000]), st.integers(1, 10**8))
def test_a_rate_is_the_least_integer_not_below_the_price(
    usd: Decimal, per: int, credits_per_usd: int
) -> None:
    exact = Fraction(usd) * credits_per_usd * 1_000_000 / per
    assert exact <= rate(usd, per, credits_per_usd) < exact + 1


def test_no_float_takes_part() -> None:
    """True division and float constants are the two ways in; neither is in the code that prices."""
    for module in (pricing, model_module):
        for code in _codes(compile(inspect.getsource(module), module.__name__, "exec")):
            assert not any(isinstance(constant, float) for constant in code.co_consts)
            for step in dis.get_instructions(code):
                assert not (step.opname == "BINARY_OP" and step.argrepr.strip("=") == "/")


def _codes(code: CodeType) -> list[CodeType]:
    inner = [
        found for constant in code.co_consts if isinstance(constant, CodeType) for found in _codes(constant)
    ]
    return [code, *inner]
