"""Anthropic's models: what is listed of them, and by which names they are found and sent."""

from datetime import UTC, datetime

import pytest

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model
from quantized.catalog.prices import known_models, known_spelling
from quantized.core.ports import Override, Terms
from quantized.providers.anthropic import catalogue

_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
_TERMS = Terms("plain")


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return {model.id: model for model in catalogue.listed(known_models("anthropic", 1_000_000, _NOW))}


@pytest.fixture
def catalog(models: dict[str, Model]) -> Catalog:
    catalog = Catalog()
    catalog.replace("anthropic", models.values(), catalogue.spelling(known_spelling("anthropic")))
    return catalog


def test_a_model_is_listed_with_all_that_is_known_of_it(models: dict[str, Model]) -> None:
    sonnet = models["anthropic/claude-sonnet-4.5"]
    assert (sonnet.native_id, sonnet.author, sonnet.provider) == (
        "claude-sonnet-4-5",
        "anthropic",
        "anthropic",
    )
    assert (sonnet.context_window, sonnet.max_output_tokens) == (200_000, 64_000)
    assert sonnet.input_modality.image
    assert set(sonnet.features) == {
        "tool_calls",
        "parallel_tool_calls",
        "structured_output",
        "reasoning",
        "web_search",
        "file_input",
    }
    assert datetime.fromtimestamp(sonnet.created, UTC) == datetime(2025, 9, 29, tzinfo=UTC)
    rates = sonnet.rates
    assert rates is not None
    assert (rates.input, rates.output, rates.cached_read) == (3_000_000, 15_000_000, 300_000)
    assert (rates.cache_write, rates.cache_write_1h) == (3_750_000, 6_000_000)
    assert rates.web_search == 10_000_000_000


def test_every_model_has_a_price_limits_and_its_writes_dearer_than_its_input(
    models: dict[str, Model],
) -> None:
    assert len(models) >= 25
    for model in models.values():
        assert model.rates is not None
        assert model.rates.cached_read < model.rates.input < model.rates.cache_write
        assert model.rates.cache_write < model.rates.cache_write_1h
        assert model.context_window is not None
        assert model.max_output_tokens is not None
        assert 4_096 <= model.max_output_tokens <= 128_000 < model.context_window
        assert not model.listed or model.rates.web_search == 10_000_000_000


def test_the_limits_are_those_of_the_published_tables(models: dict[str, Model]) -> None:
    limits = {name: (model.max_output_tokens, model.context_window) for name, model in models.items()}
    published = {
        "claude-3-haiku": (4_096, 200_000),
        "claude-3.5-haiku": (8_192, 200_000),
        "claude-opus-4.1": (32_000, 200_000),
        "claude-sonnet-4": (64_000, 200_000),
        "claude-haiku-4.5": (64_000, 200_000),
        "claude-sonnet-4.6": (128_000, 1_000_000),
        "claude-opus-5.5": (128_000, 1_000_000),
        "claude-haiku-5.5": (128_000, 1_000_000),
    }
    assert {name: limits[f"anthropic/{name}"] for name in published} == published


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("claude-opus-4.6", (2026, 2, 5)),
        ("claude-fable-5.1", (2026, 9, 1)),
        ("claude-fable-5.2", (2026, 11, 9)),
    ],
)
def test_the_day_of_a_release(models: dict[str, Model], name: str, day: tuple[int, int, int]) -> None:
    assert datetime.fromtimestamp(models[f"anthropic/{name}"].created, UTC) == datetime(*day, tzinfo=UTC)


def test_a_price_for_inputs_that_no_window_holds_is_no_price(models: dict[str, Model]) -> None:
    tiers = {}
    for name, model in models.items():
        assert model.rates is not None and model.context_window is not None
        tiers[name] = [tier.from_input for tier in model.rates.tiers]
        assert all(start <= model.context_window for start in tiers[name])
    assert tiers["anthropic/claude-sonnet-4.5"] == tiers["anthropic/claude-sonnet-4"] == []
    assert tiers["anthropic/claude-haiku-5.5"] != []


@pytest.mark.parametrize(
    ("name", "model", "sent"),
    [
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", "claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4.5", "claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4.5", "claude-sonnet-4-5-20250929"),
        ("anthropic/claude-sonnet-4-5-20250929", "claude-sonnet-4.5", "claude-sonnet-4-5-20250929"),
        ("anthropic/claude-sonnet-4", "claude-sonnet-4", "claude-sonnet-4-0"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("claude-opus-4", "claude-opus-4", "claude-opus-4-0"),
        ("anthropic/claude-3.5-haiku", "claude-3.5-haiku", "claude-3-5-haiku-latest"),
        ("claude-3-5-haiku-20241022", "claude-3.5-haiku", "claude-3-5-haiku-20241022"),
        ("claude-3.5-haiku-20241022", "claude-3.5-haiku", "claude-3-5-haiku-20241022"),
        ("claude-3-7-sonnet-latest", "claude-3.7-sonnet", "claude-3-7-sonnet-latest"),
        ("anthropic/claude-3-haiku", "claude-3-haiku", "claude-3-haiku-20240307"),
        ("claude-3-haiku-20240307", "claude-3-haiku", "claude-3-haiku-20240307"),
        ("claude-opus-4-1-20250805", "claude-opus-4.1", "claude-opus-4-1-20250805"),
        ("anthropic/claude-mythos-5.2", "claude-mythos-5.2", "claude-mythos-5-2"),
        ("claude-fable-5-1-20260801", "claude-fable-5.1", "claude-fable-5-1-20260801"),
    ],
)
def test_names_that_mean_a_model(catalog: Catalog, name: str, model: str, sent: str) -> None:
    offer = catalog.find("anthropic", name, _TERMS)
    assert offer is not None
    assert (offer.model.id, offer.model.native_id) == (f"anthropic/{model}", sent)
    plain = catalog.find("anthropic", f"anthropic/{model}", _TERMS)
    assert plain is not None
    assert offer.rates == plain.rates


@pytest.mark.parametrize(
    "name",
    [
        "claude",
        "claude-2.1",
        "claude-v1",
        "claude-opus-9",
        "claude-sonnet-4-5-turbo",
        "anthropic/claude-opus-4.6-fast",
        "anthropic/claude-3.7-sonnet:thinking",
        "claude-sonnet-4@20250514",
        "anthropic.claude-sonnet-4-20250514-v1:0",
        "anthropic/anthropic/claude-opus-5",
        "openai/gpt-4.1-mini",
        "",
    ],
)
def test_names_that_mean_none(catalog: Catalog, name: str) -> None:
    assert catalog.find("anthropic", name, _TERMS) is None
    assert not catalog.unpriced("anthropic", name, _TERMS)


def test_what_has_been_retired_can_be_called_and_is_not_listed(catalog: Catalog) -> None:
    listed = {offer.model.id for offer in catalog.offers(_TERMS, "anthropic")}
    assert {"anthropic/claude-haiku-4.5", "anthropic/claude-opus-5.5"} <= listed
    assert not {"anthropic/claude-sonnet-4", "anthropic/claude-3-haiku"} & listed
    assert catalog.find("anthropic", "claude-sonnet-4-0", _TERMS) is not None


def test_a_licences_models_and_rates_hold_for_every_name(catalog: Catalog) -> None:
    terms = Terms(
        "own",
        overrides={"anthropic/claude-sonnet-4.5": Override(input=7)},
        allowed=("anthropic/claude-sonnet-4.5",),
    )
    for name in ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"):
        offer = catalog.find("anthropic", name, terms)
        assert offer is not None
        assert offer.rates.input == 7
    assert catalog.find("anthropic", "claude-opus-4-5-20251101", terms) is None
