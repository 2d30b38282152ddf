"""Bedrock's models by region: what is listed, and at which price every name of a model is."""

import pytest

from quantized.catalog.catalog import Catalog
from quantized.clock import SystemClock
from quantized.core.ports import Override, Terms
from quantized.providers.bedrock.models import nearest, served
from quantized.settings import CatalogSettings, Settings
from quantized.settings_providers import BedrockSettings
from quantized.stock import stocked_catalog

REGIONS = (
    *("us-east-1", "us-gov-west-1", "ca-central-1", "eu-west-1", "eu-central-1", "sa-east-1", "me-south-1"),
    *("ap-northeast-1", "ap-southeast-1", "ap-southeast-2", "ap-south-1"),
)
ANY = Terms("any")
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
OWNER = "arn:aws:bedrock:us-east-1:123456789012"


async def catalogue(region: str = "us-east-1", **rules: object) -> Catalog:
    settings = Settings(
        demo=False, providers={"bedrock": BedrockSettings(region)}, catalog=CatalogSettings(**rules)
    )
    return await stocked_catalog(settings, SystemClock())


@pytest.mark.parametrize("region", REGIONS)
async def test_a_regions_models_are_listed_once_by_their_nearest_way(region: str) -> None:
    catalog = await catalogue(region)
    listed = {offer.model.id: offer for offer in catalog.offers(ANY, "bedrock")}
    assert len(listed) == len(catalog.offers(ANY, "bedrock")) > 60
    for known in served():
        found = catalog.find("bedrock", known.public, ANY)
        if found is None:
            assert catalog.unpriced("bedrock", known.public, ANY)
            continue
        assert listed[known.public] == found
        model = found.model
        assert (model.native_id, model.provider) == (nearest(known.id, region), "bedrock")
        assert model.max_output_tokens == known.family.max_output_tokens
        by_id = catalog.find("bedrock", model.native_id, ANY)
        assert by_id is not None and by_id.rates == found.rates


async def test_no_way_is_cheaper_than_through_the_world() -> None:
    catalog = await catalogue()
    compared = 0
    for known in served():
        ways = {way: f"{way}.{known.id}" for way in known.places if way != "here"}
        found = {way: catalog.find("bedrock", name, ANY) for way, name in ways.items()}
        world = found.pop("global", None)
        for offer in found.values():
            if world is None or offer is None:
                continue
            for rate in ("input", "output", "cached_read", "cache_write"):
                assert getattr(offer.rates, rate) >= getattr(world.rates, rate), known.id
                compared += 1
    assert compared > 100


@pytest.mark.parametrize(
    ("name", "like"),
    [
        (f"{OWNER}:inference-profile/global.{SONNET}", f"global.{SONNET}"),
        (f"{OWNER}:inference-profile/eu.{SONNET}", f"us.{SONNET}"),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{SONNET}", SONNET),
        (
            f"arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.{SONNET}",
            f"us.{SONNET}",
        ),
        ("jp.anthropic.claude-fable-5", "us.anthropic.claude-fable-5"),
        ("apac.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("amazon.nova-lite-v1:0:300k", "amazon.nova-lite-v1:0"),
    ],
)
async def test_any_name_that_ends_in_a_model_is_sent_as_it_is_at_that_models_price(
    name: str, like: str
) -> None:
    catalog = await catalogue()
    found, other = (catalog.find("bedrock", one, ANY) for one in (name, like))
    assert found is not None and other is not None
    assert (found.model.native_id, found.rates, found.model.id) == (name, other.rates, other.model.id)


@pytest.mark.parametrize(
    "name",
    [
        f"{OWNER}:application-inference-profile/{SONNET}",
        f"{OWNER}:provisioned-model/abc123def456",
        f"{OWNER}:imported-model/abc123def456",
        f"{OWNER}:prompt-router/anthropic.claude",
        "arn:aws:sagemaker:us-east-1:123456789012:endpoint/mine",
        "anthropic.claude-of-tomorrow",
        "(unpriced)",
    ],
)
async def test_what_names_no_known_model_has_no_price(name: str) -> None:
    catalog = await catalogue()
    assert catalog.find("bedrock", name, ANY) is None
    assert catalog.unpriced("bedrock", name, ANY)
    # Who may call some models alone is not even told that.
    assert not catalog.unpriced("bedrock", name, Terms("some", allowed=("anthropic/*",)))


@pytest.mark.parametrize(
    "name", ["nonsense", "anthropic/claude-of-tomorrow", "global/anthropic", "", "a/b/c"]
)
async def test_what_is_no_name_is_unknown(name: str) -> None:
    catalog = await catalogue()
    assert catalog.find("bedrock", name, ANY) is None
    assert not catalog.unpriced("bedrock", name, ANY)


async def test_a_licences_models_and_the_operators_rates_hold_for_every_way() -> None:
    rates = Override(input=7_000_000, output=9_000_000)
    catalog = await catalogue(overrides={"bedrock": {"anthropic/claude-sonnet-4.5": rates}})
    some = Terms("some", allowed=("anthropic/claude-sonnet-*",))
    for name in (
        "anthropic/claude-sonnet-4.5",
        f"us.{SONNET}",
        f"global.{SONNET}",
        f"{OWNER}:inference-profile/global.{SONNET}",
    ):
        found = catalog.find("bedrock", name, some)
        assert found is not None and (found.rates.input, found.rates.output) == (7_000_000, 9_000_000)
    for name in ("amazon/nova-lite", "us.amazon.nova-lite-v1:0"):
        assert catalog.find("bedrock", name, some) is None
