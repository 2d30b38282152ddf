"""A hundred usages as the API reports them; what each costs is recomputed by hand from published dollars."""

import json
import math
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from taped import BODIES, MESSAGES, REQUEST, STREAMS

from quantized.catalog.model import Rates
from quantized.catalog.prices import known_models
from quantized.catalog.pricing import price
from quantized.core.fold import fold
from quantized.core.usage import Usage

_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
_MICRO_CREDITS_PER_USD = 1_000_000
_LONG_INPUT = 200_000

LISTED = {
    info.id: info.get_prices(_NOW)
    for info in next(listed for listed in get_snapshot().providers if listed.id == "anthropic").models
}
PRICED = [name for name, prices in LISTED.items() if prices.web_searches_kcount is not None]
"""The models with a price for everything that usage counts."""
RATES = {model.native_id: model.rates for model in known_models("anthropic", _MICRO_CREDITS_PER_USD, _NOW)}


def _tokens(dice: random.Random) -> int:
    """Of every size, nothing among them."""
    return dice.choice([0, 1, dice.randrange(10, 1_000), dice.randrange(1_000, 20_000)])


def recorded(number: int) -> tuple[str, dict[str, Any]]:
    """A model and the `usage` of one of its answers."""
    dice = random.Random(number)
    short, long = _tokens(dice), _tokens(dice)
    output = _tokens(dice)
    usage: dict[str, Any] = {
        "input_tokens": dice.choice(
            [_tokens(dice), _LONG_INPUT, _LONG_INPUT + 1, dice.randrange(150_000, 900_000)]
        ),
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": dice.choice([_tokens(dice), dice.randrange(100_000)]),
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": output,
        "service_tier": "standard",
    }
    if dice.random() < 0.5:
        usage["output_tokens_details"] = {"thinking_tokens": dice.randint(0, output)}
    if dice.random() < 0.3:
        usage["server_tool_use"] = {"web_search_requests": dice.randint(0, 5), "web_fetch_requests": 0}
    return dice.choice(PRICED), usage


def by_hand(model: str, usage: dict[str, Any]) -> int:
    """Micro-credits, from dollars per million tokens and per thousand searches. A long prompt's prices are
    those of all its tokens and of its answer."""
    prompt = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]

    def dollars(bucket: str) -> Decimal:
        listed: Any = getattr(LISTED[model], bucket)
        if isinstance(listed, Decimal):
            return listed
        over = [tier.price for tier in listed.tiers if prompt > tier.start]
        return Decimal(over[-1] if over else listed.base)

    written = usage["cache_creation"]
    searches = usage.get("server_tool_use", {}).get("web_search_requests", 0)
    total = (
        dollars("input_mtok") * usage["input_tokens"]
        + dollars("cache_read_mtok") * usage["cache_read_input_tokens"]
        + dollars("cache_write_mtok") * written["ephemeral_5m_input_tokens"]
        + dollars("cache_write_1h_mtok") * written["ephemeral_1h_input_tokens"]
        + dollars("output_mtok") * usage["output_tokens"]
    ) / 1_000_000 + dollars("web_searches_kcount") * searches / 1_000
    return math.ceil(total * _MICRO_CREDITS_PER_USD)


def unstreamed(usage: dict[str, Any]) -> Usage:
    body = {**json.loads(BODIES["anthropic_plain"]), "usage": usage}
    counted = fold(MESSAGES.decode_body(REQUEST, json.dumps(body).encode())).usage
    assert counted is not None
    return counted


def streamed(usage: dict[str, Any]) -> Usage:
    """A stream counts its input when it begins, and what it counts again at its end replaces that."""
    first = {**usage, "output_tokens": 3}
    last = {name: value for name, value in usage.items() if name not in {"cache_creation", "service_tier"}}
    if "server_tool_use" in last:
        # Results that were searched for are input as well, counted as they come.
        first = {**first, "input_tokens": usage["input_tokens"] // 2, "server_tool_use": None}
    lines = STREAMS["anthropic_plain"].decode().split("\n")
    for at, line in enumerate(lines):
        if not line.startswith("data: "):
            continue
        frame = json.loads(line.removeprefix("data: "))
        if frame["type"] == "message_start":
            frame["message"]["usage"] = first
        elif frame["type"] == "message_delta":
            frame["usage"] = last
        lines[at] = f"data: {json.dumps(frame)}"
    decoder = MESSAGES.decoder(REQUEST)
    counted = fold([event for _, told in decoder.feed("\n".join(lines).encode()) for event in told]).usage
    assert counted is not None
    return counted


def rates_of(model: str) -> Rates:
    rates = RATES[model]
    assert rates is not None
    return rates


@pytest.mark.parametrize("number", range(100))
def test_a_recorded_usage_costs_what_the_published_rates_say(number):
    model, usage = recorded(number)
    expected = by_hand(model, usage)
    assert price(rates_of(model), unstreamed(usage)) == expected
    assert price(rates_of(model), streamed(usage)) == expected
    assert streamed(usage) == unstreamed(usage)


def test_the_hundred_differ():
    """Every model that has all prices, each bucket, and both sides of the long prompts' price."""
    told = [recorded(number) for number in range(100)]
    assert {model for model, _ in told} == set(PRICED)
    counted = [unstreamed(usage) for _, usage in told]
    for bucket in (
        "input",
        "cached_read",
        "cache_write",
        "cache_write_1h",
        "output",
        "reasoning",
        "web_searches",
    ):
        assert {bool(getattr(one, bucket)) for one in counted} == {True, False}
    tiered = [one for (model, _), one in zip(told, counted, strict=True) if rates_of(model).tiers]
    assert {one.input_total > _LONG_INPUT for one in tiered} == {True, False}


def test_writes_and_reads_cost_what_they_are_known_to():
    rates = rates_of("claude-opus-4-5")
    assert rates.cached_read * 10 == rates.input
    assert rates.cache_write * 4 == rates.input * 5
    assert rates.cache_write_1h == rates.input * 2
    assert rates.web_search == 10_000 * _MICRO_CREDITS_PER_USD
