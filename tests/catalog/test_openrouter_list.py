"""OpenRouter's list: what each kind of row means for prices, limits and features."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from quantized.catalog.model import Modality, Model, Rates, complete
from quantized.catalog.pricing import price
from quantized.core.ports import Override
from quantized.core.usage import Usage
from quantized.providers.openrouter_models import parse_model

_ROWS = msgspec.json.decode(
    (Path(__file__).parent / "openrouter_models.json").read_bytes(), type=dict[str, list[Raw]]
)["data"]


def _parse(row: bytes, micro_credits_per_usd: int = 1_000_000) -> Model:
    return parse_model(row, provider="router", micro_credits_per_usd=micro_credits_per_usd)


_MODELS = {model.id: model for model in (_parse(bytes(row)) for row in _ROWS)}


def _rates(model_id: str) -> Rates:
    rates = _MODELS[model_id].rates
    assert rates is not None
    return rates


def _priced(**pricing: Any) -> Rates | None:
    row = {"id": "a/m", "pricing": {"prompt": "0.000001", "completion": "0.000002", **pricing}}
    return _parse(msgspec.json.encode(row)).rates


def _flat(**rates: int) -> Rates | None:
    return complete(Override(**{"input": 1_000_000, "output": 2_000_000, **rates}))


def test_every_row_of_the_list_is_a_model() -> None:
    assert len(_MODELS) == len(_ROWS) == 28
    unpriced = {model.id for model in _MODELS.values() if model.rates is None}
    assert unpriced == {"openrouter/auto", "example/pictures-only", "example/per-second"}
    assert {model.provider for model in _MODELS.values()} == {"router"}
    assert all(model.native_id == model.id for model in _MODELS.values())


def test_a_row_becomes_a_model_with_its_limits_and_features() -> None:
    model = _MODELS["openai/gpt-4.1-mini"]
    assert model == Model(
        id="openai/gpt-4.1-mini",
        provider="router",
        native_id="openai/gpt-4.1-mini",
        name="OpenAI: GPT-4.1 Mini",
        author="openai",
        rates=complete(
            Override(input=400_000, output=1_600_000, cached_read=100_000, web_search=10_000_000_000)
        ),
        description=model.description,
        context_window=1_047_576,
        max_output_tokens=32_768,
        input_modality=Modality(image=True),
        features=("tool_calls", "structured_output", "json_object", "file_input"),
        created=1_744_651_381,
    )
    assert _MODELS["~anthropic/claude-sonnet-latest"].author == "anthropic"
    assert _MODELS["openai/gpt-oss-20b:free"].max_output_tokens is None


def test_the_widest_endpoint_sets_the_context_window() -> None:
    assert _MODELS["meta-llama/llama-3.1-8b-instruct"].context_window == 131_072


def test_modalities_are_read_both_ways() -> None:
    assert _MODELS["google/gemini-2.5-flash"].input_modality == Modality(image=True, audio=True, video=True)
    assert _MODELS["openai/gpt-4o-audio-preview"].output_modality == Modality(audio=True)
    assert _MODELS["example/pictures-only"].output_modality == Modality(text=False, image=True)


def test_free_models_have_a_price_and_it_is_nothing() -> None:
    for name in ("openai/gpt-oss-20b:free", "google/gemma-3-27b-it:free"):
        assert price(_rates(name), Usage(input=10**6, reasoning=10**6, output=10**6, cached_read=9)) == 0


def test_old_rows_with_zeroes_mean_no_price_of_their_own() -> None:
    rates = _rates("openai/o3")
    assert (rates.output, rates.reasoning) == (8_000_000, 8_000_000)
    assert _rates("openai/gpt-4o").web_search is None


def test_an_images_price_is_among_the_prompt_tokens_already() -> None:
    assert _rates("openai/gpt-4o") == complete(
        Override(input=2_500_000, output=10_000_000, cached_read=1_250_000)
    )
    assert _priced(prompt="0", completion="0", image="0.04") is None


def test_images_and_audio_that_a_model_makes_have_their_rates() -> None:
    assert _rates("google/gemini-2.5-flash-image").output_image == 30_000_000
    audio = _rates("openai/gpt-4o-audio-preview")
    assert (audio.input_audio, audio.output_audio) == (40_000_000, 80_000_000)


def test_cache_writes_have_two_lives_and_two_rates() -> None:
    rates = _rates("anthropic/claude-haiku-4.5")
    assert (rates.cached_read, rates.cache_write, rates.cache_write_1h) == (100_000, 1_250_000, 2_000_000)
    assert _rates("anthropic/claude-3.5-haiku").cache_write_1h == 1_000_000
    absent = _rates("deepseek/deepseek-r1")
    assert (absent.cached_read, absent.cache_write) == (700_000, 700_000)


def test_a_write_listed_below_the_input_is_storage_on_top_of_it() -> None:
    # 0.3 for the token and 0.0833… for five minutes of storage, in dollars per million; rounded up.
    assert _rates("google/gemini-2.5-flash").cache_write == 383_334


def test_long_prompts_have_tiers() -> None:
    rates = _rates("anthropic/claude-sonnet-4.5")
    (tier,) = rates.tiers
    assert tier.from_input == 200_000
    assert (tier.rates.input, tier.rates.output, tier.rates.cache_write_1h) == (
        6_000_000,
        22_500_000,
        12_000_000,
    )
    assert tier.rates.reasoning == 22_500_000
    assert tier.rates.web_search == rates.web_search
    below = price(rates, Usage(input=199_999))
    assert (below, price(rates, Usage(input=200_000))) == (599_997, 1_200_000)


def test_what_repeats_the_plain_price_follows_it_into_the_tier() -> None:
    (tier,) = _rates("google/gemini-2.5-pro").tiers
    assert (tier.rates.reasoning, tier.rates.input_audio) == (15_000_000, 2_500_000)


def test_tiers_build_on_each_other_and_later_entries_win() -> None:
    rates = _priced(
        overrides=[
            {"min_prompt_tokens": 100, "prompt": "0.000003", "completion": "0.000005"},
            {"min_prompt_tokens": 1000, "prompt": "0.000004"},
        ]
    )
    assert rates is not None
    assert [(tier.from_input, tier.rates.input, tier.rates.output) for tier in rates.tiers] == [
        (100, 3_000_000, 5_000_000),
        (1_000, 4_000_000, 5_000_000),
    ]


def test_prices_of_the_hour_are_charged_at_their_dearest() -> None:
    rates = _rates("deepseek/deepseek-chat-v3.1")
    assert rates == complete(Override(input=270_000, output=1_100_000, cached_read=70_000))


@pytest.mark.parametrize(
    ("pricing", "why"),
    [
        ({"prompt": "-1"}, "it depends"),
        ({"completion": "-1"}, "it depends"),
        ({"prompt": None}, "no price for input"),
        ({"completion": "much"}, "not a number"),
        ({"prompt": "NaN"}, "not a number"),
        ({"prompt": "1e-999999999"}, "beyond all reason"),
        ({"prompt": "9" * 100}, "beyond all reason"),
        ({"prompt": "2000000"}, "beyond all reason"),
        ({"video_second": "0.1"}, "a dimension that is not metered"),
        ({"image_token": "0.000009"}, "dearer input that usage cannot tell apart"),
        ({"overrides": "none"}, "no list"),
        ({"overrides": [{"max_prompt_tokens": 5, "prompt": "0.1"}]}, "an unknown condition"),
        ({"overrides": [{"min_prompt_tokens": "many", "prompt": "0.1"}]}, "an unreadable condition"),
        ({"overrides": [{"min_prompt_tokens": 9, "prompt": "-1"}]}, "it depends"),
    ],
)
def test_without_a_clear_price_there_is_none(pricing: dict[str, Any], why: str) -> None:
    assert _priced(**pricing) is None, why


@pytest.mark.parametrize(
    "pricing",
    [
        {"video_second": "0"},
        {"web_search": None},
        {"discount": 0.5},
        {"image_token": "0.000001"},
        {"input_audio_cache": "0.1"},
        {"overrides": []},
        {"overrides": None},
        {"prompt": 0.000001},
    ],
)
def test_what_changes_nothing_changes_nothing(pricing: dict[str, Any]) -> None:
    assert _priced(**pricing) == _flat()


def test_a_price_for_each_request_is_charged() -> None:
    assert price(_rates("perplexity/sonar-reasoning"), Usage(input=1, output=1)) == 5_006


@given(
    st.decimals(0, 1, places=18),
    st.decimals(0, 1, places=18),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from([1, 1_000_000, 10_000_000]),
)
def test_no_charge_is_below_the_listed_price(
    prompt: Decimal, completion: Decimal, tokens_in: int, tokens_out: int, per_usd: int
) -> None:
    row = {"id": "a/m", "pricing": {"prompt": str(prompt), "completion": str(completion)}}
    rates = _parse(msgspec.json.encode(row), per_usd).rates
    assert rates is not None
    exact = (prompt * tokens_in + completion * tokens_out) * per_usd
    charged = price(rates, Usage(input=tokens_in, output=tokens_out))
    # Each rate is rounded up by less than a millionth of a micro-credit a token, the sum by less than one.
    assert exact <= charged < exact + Decimal(tokens_in + tokens_out) / 1_000_000 + 1


@pytest.mark.parametrize(
    "row",
    [b"", b"[]", b"null", b"{}", b'{"id":""}', b'{"id":7e400}', b'{"id":"a","pricing":[]}', b'{"id":"\xff"}'],
)
def test_what_is_no_model_is_refused(row: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        _parse(row)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(_ROWS),
    st.lists(
        st.tuples(st.sampled_from(["pricing", "row"]), st.text(max_size=8) | st.none(), _json), max_size=3
    ),
    st.data(),
)
def test_a_spoilt_row_is_a_model_or_refused(row: Raw, spoils: list[tuple[str, Any, Any]], data: Any) -> None:
    fields = msgspec.json.decode(row)
    for place, key, value in spoils:
        target = fields["pricing"] if place == "pricing" and isinstance(fields["pricing"], dict) else fields
        target[key or data.draw(st.sampled_from(sorted(target) or ["any"]))] = value
    try:
        model = _parse(msgspec.json.encode(fields))
    except ValueError:
        return
    assert model.id
    assert model.rates is None or price(model.rates, Usage(input=1_000, output=1_000)) >= 0
