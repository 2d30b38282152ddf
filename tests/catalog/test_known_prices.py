"""Prices that the operator wrote, and those that the price list knows."""

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from quantized.catalog.model import Model, Rates, complete
from quantized.catalog.prices import configured_models, known_models
from quantized.catalog.pricing import price
from quantized.core.ports import Override
from quantized.core.usage import Usage
from quantized.settings_providers import ModelSettings, ProviderSettings

_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _known(provider: str, model: str, now: datetime = _NOW) -> Model:
    return next(found for found in known_models(provider, 1_000_000, now) if found.native_id == model)


def _configured(base_url: str, **models: ModelSettings) -> list[Model]:
    settings = ProviderSettings(base_url=base_url, models=models)
    return configured_models("own", settings, 1_000_000, _NOW)


def test_a_known_model_has_its_rates_in_every_bucket() -> None:
    model = _known("anthropic", "claude-3-5-haiku-latest")
    assert (model.id, model.author, model.provider) == (
        "anthropic/claude-3-5-haiku-latest",
        "anthropic",
        "anthropic",
    )
    assert model.rates == complete(
        Override(
            input=800_000,
            output=4_000_000,
            cached_read=80_000,
            cache_write=1_000_000,
            cache_write_1h=1_600_000,
            web_search=10_000_000_000,
        )
    )
    assert model.context_window == 200_000


@pytest.mark.parametrize("tokens", [1_000, 200_000, 200_001])
def test_tiers_say_what_the_list_itself_computes(tokens: int) -> None:
    rates = _known("google", "gemini-2.5-pro").rates
    assert rates is not None
    listed = calc_price(
        ListedUsage(input_tokens=tokens, output_tokens=1_000),
        "gemini-2.5-pro",
        provider_id="google",
        genai_request_timestamp=_NOW,
    )
    assert price(rates, Usage(input=tokens, output=1_000)) == math.ceil(listed.total_price * 1_000_000)


def test_a_price_that_began_on_a_date_counts_from_then_on() -> None:
    before = _known("openai", "o3", datetime(2025, 6, 9, tzinfo=UTC)).rates
    after = _known("openai", "o3", datetime(2025, 6, 10, tzinfo=UTC)).rates
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (10_000_000, 2_000_000)


def test_a_price_of_the_hour_is_the_dearest_of_the_day() -> None:
    rates = _known("deepseek", "deepseek-chat").rates
    assert rates is not None
    for hour in range(24):
        listed = calc_price(
            ListedUsage(input_tokens=1_000_000, output_tokens=1_000_000),
            "deepseek-chat",
            provider_id="deepseek",
            genai_request_timestamp=_NOW.replace(hour=hour),
        )
        assert price(rates, Usage(input=1_000_000, output=1_000_000)) >= listed.total_price * 1_000_000


def test_what_usage_cannot_count_has_no_known_price() -> None:
    assert _known("openai", "gpt-image-1").rates is None  # image input is dearer than text
    assert _known("groq", "whisper-large-v3").rates is None  # billed by the hour


def test_a_provider_may_be_unknown_to_the_list_or_named_otherwise_here() -> None:
    assert known_models("nobody", 1_000_000, _NOW) == []
    assert {model.provider for model in known_models("anthropic", 1_000_000, _NOW, provider="claude")} == {
        "claude"
    }


def test_a_dollar_is_as_many_micro_credits_as_the_operator_says() -> None:
    doubled = known_models("anthropic", 2_000_000, _NOW)
    for model, twice in zip(known_models("anthropic", 1_000_000, _NOW), doubled, strict=True):
        assert model.rates is not None
        assert twice.rates is not None
        assert Decimal(twice.rates.input) / 2 == model.rates.input


def test_a_row_with_rates_is_what_the_operator_wrote() -> None:
    (model,) = _configured(
        "http://127.0.0.1:11434/v1",
        **{
            "house/llama": ModelSettings(
                rates=Override(input=100, output=200),
                native_id="llama3.2:3b",
                name="Our Llama",
                context_window=8_192,
                max_output_tokens=2_048,
                features=("tool_calls",),
                image=True,
            )
        },
    )
    assert model.rates == complete(Override(input=100, output=200))
    assert (model.id, model.native_id, model.name) == ("house/llama", "llama3.2:3b", "Our Llama")
    assert (model.provider, model.author) == ("own", "house")
    assert (model.context_window, model.max_output_tokens) == (8_192, 2_048)
    assert (model.input_modality.image, model.input_modality.audio) == (True, False)
    assert model.features == ("tool_calls",)


def test_a_row_without_rates_at_an_unknown_host_has_no_price() -> None:
    (model,) = _configured("http://127.0.0.1:11434/v1", **{"gpt-4.1-mini": ModelSettings()})
    assert model.rates is None
    assert (model.native_id, model.author) == ("gpt-4.1-mini", "own")


def test_a_row_without_rates_at_a_known_host_has_the_lists() -> None:
    priced, unknown = _configured(
        "https://api.openai.com/v1",
        **{
            "openai/gpt-4.1-mini": ModelSettings(native_id="gpt-4.1-mini"),
            "openai/unheard-of": ModelSettings(native_id="unheard-of"),
        },
    )
    assert _rates(priced).input == 400_000
    assert priced.id == "openai/gpt-4.1-mini"
    assert priced.context_window is not None
    assert unknown.rates is None


def test_a_row_may_replace_some_of_the_lists_rates() -> None:
    (model,) = _configured(
        "https://api.openai.com/v1",
        **{"openai/gpt-4.1-mini": ModelSettings(native_id="gpt-4.1-mini", rates=Override(input=7))},
    )
    assert (_rates(model).input, _rates(model).output) == (7, 1_600_000)


def _rates(model: Model) -> Rates:
    assert model.rates is not None
    return model.rates
