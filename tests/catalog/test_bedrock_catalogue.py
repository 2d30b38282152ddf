"""Bedrock's models by region: what is listed, and at which price every name of a model is."""

import logging

import pytest

from quantized.catalog.catalog import Catalog
from quantized.clock import SystemClock
from quantized.core.ports import Override, Terms
from quantized.providers.bedrock.models import nearest, reaches, served
from quantized.settings import CatalogSettings, Settings
from quantized.settings_providers import BedrockProfile, BedrockSettings
from quantized.stock import stocked_catalog

REGIONS = (
    *("us-east-1", "us-gov-west-1", "ca-central-1", "eu-west-1", "eu-central-1", "sa-east-1", "me-south-1"),
    *("ap-northeast-1", "ap-southeast-1", "ap-southeast-2", "ap-south-1"),
)
ANY = Terms("any")
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
OWNER = "arn:aws:bedrock:us-east-1:123456789012"


async def catalogue(
    region: str = "us-east-1", row: BedrockSettings | None = None, **rules: object
) -> Catalog:
    settings = Settings(
        demo=False, providers={"bedrock": row or BedrockSettings(region)}, catalog=CatalogSettings(**rules)
    )
    return await stocked_catalog(settings, SystemClock())


@pytest.mark.parametrize("region", REGIONS)
async def test_a_regions_models_are_listed_once_by_their_nearest_way(region: str) -> None:
    catalog = await catalogue(region)
    listed = {offer.model.id: offer for offer in catalog.offers(ANY, "bedrock")}
    assert len(listed) == len(catalog.offers(ANY, "bedrock")) > 30
    for known in served():
        found = catalog.find("bedrock", known.public, ANY)
        if found is None:
            assert catalog.unpriced("bedrock", known.public, ANY)
            continue
        assert (listed.get(known.public) == found) is reaches(known.id, region)
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
        "x.y.z.amazon.nova-micro-v1:0",
        "us.eu.amazon.nova-micro-v1:0",
        "anthropic.claude-opus-4-8-turbo:zz",
        "us.anthropic.claude-opus-4-8-1",
        "amazon.nova-lite-v2:0",
        "amazon.nova-lite-v1:0:300k:24k",
        f"{OWNER}:inference-profile/us.amazon.nova-lite-v1:0-2",
    ],
)
async def test_what_names_no_known_model_has_no_price(name: str) -> None:
    catalog = await catalogue()
    assert catalog.find("bedrock", name, ANY) is None
    assert catalog.unpriced("bedrock", name, ANY)
    # Who may call some models alone is not even told that.
    assert not catalog.unpriced("bedrock", name, Terms("some", allowed=("anthropic/*",)))


@pytest.mark.parametrize(
    "name",
    [
        *("nonsense", "anthropic/claude-of-tomorrow", "global/anthropic", "", "a/b/c", "arn:aws:bedrock:x"),
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0/../anthropic.claude-opus-4-8",
        "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-micro-v1:0/anthropic.claude-opus-4-8",
        "arn:aws:s3:us-east-1::foundation-model/amazon.nova-micro-v1:0",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-micro-v1:0",
    ],
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


MINE = f"{OWNER}:application-inference-profile/fm16bt65tzgx"
CUSTOM = f"{OWNER}:provisioned-model/abc123def456"


async def test_an_arn_has_the_limits_and_the_price_of_the_model_behind_it() -> None:
    profiles = {
        MINE: BedrockProfile("anthropic/claude-sonnet-4.5"),
        f"{MINE}2": BedrockProfile(f"global.{SONNET}"),
        CUSTOM: BedrockProfile("meta/llama3-3-70b-instruct", Override(input=5, output=6)),
    }
    catalog = await catalogue(row=BedrockSettings("us-east-1", profiles=profiles))
    for arn, like in (
        (MINE, f"us.{SONNET}"),
        (f"{MINE}2", f"global.{SONNET}"),
        (CUSTOM, "us.meta.llama3-3-70b-instruct-v1:0"),
    ):
        found, other = (catalog.find("bedrock", name, ANY) for name in (arn, like))
        assert found is not None and other is not None
        assert found in catalog.offers(ANY, "bedrock")
        model = found.model
        assert (model.id, model.native_id, model.author) == (arn, arn, other.model.author)
        assert (model.max_output_tokens, model.features) == (
            other.model.max_output_tokens,
            other.model.features,
        )
        assert (found.rates == other.rates) is (arn != CUSTOM)
    own = catalog.find("bedrock", CUSTOM, ANY)
    assert own is not None and (own.rates.input, own.rates.output) == (5, 6)
    # Whose licence names other models does not come to this one by its ARN.
    assert catalog.find("bedrock", MINE, Terms("some", allowed=("anthropic/*",))) is None


async def test_overrides_of_an_arn_hold_and_those_of_nothing_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rates = Override(input=7, output=9)
    row = BedrockSettings("us-east-1", profiles={MINE: BedrockProfile("amazon/nova-lite")})
    catalog = await catalogue(row=row, overrides={"bedrock": {MINE: rates, CUSTOM: rates}})
    found = catalog.find("bedrock", MINE, ANY)
    assert found is not None and (found.rates.input, found.rates.output) == (7, 9)
    assert catalog.find("bedrock", CUSTOM, ANY) is None
    [told] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert CUSTOM in told and "[catalog.overrides.bedrock]" in told


async def test_an_arn_of_a_model_without_a_price_is_told(caplog: pytest.LogCaptureFixture) -> None:
    row = BedrockSettings("us-east-1", profiles={MINE: BedrockProfile("anthropic/claude-of-tomorrow")})
    catalog = await catalogue(row=row)
    assert catalog.find("bedrock", MINE, ANY) is None and catalog.unpriced("bedrock", MINE, ANY)
    assert MINE in caplog.text and "claude-of-tomorrow" in caplog.text


@pytest.mark.parametrize(
    ("row", "told", "factor"),
    [
        (BedrockSettings("us-east-1"), False, 10),
        (BedrockSettings("eu-west-3"), True, 10),
        (BedrockSettings("eu-west-3", markup_bp=10_000), False, 10),
        (BedrockSettings("eu-west-3", markup_bp=13_000), False, 13),
    ],
)
async def test_a_regions_own_factor(
    row: BedrockSettings, told: bool, factor: int, caplog: pytest.LogCaptureFixture
) -> None:
    plain, marked = (
        catalog.find("bedrock", f"eu.{SONNET}", ANY)
        for catalog in (await catalogue(), await catalogue(row=row))
    )
    assert plain is not None and marked is not None
    assert marked.rates.output * 10 == plain.rates.output * factor
    assert ("markup" in caplog.text) is told


@pytest.mark.parametrize(
    ("geography", "native"),
    [
        (None, f"eu.{SONNET}"),
        ("us", f"us.{SONNET}"),
        ("global", f"global.{SONNET}"),
        ("none", SONNET),
        ("apac", SONNET),
    ],
)
async def test_a_geography_that_was_chosen_wins(geography: str | None, native: str) -> None:
    catalog = await catalogue(row=BedrockSettings("eu-west-3", geography=geography, markup_bp=10_000))
    for name in ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4-5"):
        found = catalog.find("bedrock", name, ANY)
        assert found is not None and found.model.native_id == native


@pytest.mark.parametrize(
    ("region", "geography", "there"),
    [
        ("us-east-1", None, True),
        ("eu-west-3", None, False),
        ("us-east-1", "eu", False),
        ("eu-west-3", "us", True),
    ],
)
async def test_a_model_that_no_way_leads_to_is_not_listed(
    region: str, geography: str | None, there: bool
) -> None:
    """Nova Premier is in the United States alone."""
    catalog = await catalogue(row=BedrockSettings(region, geography=geography, markup_bp=10_000))
    listed = {offer.model.id for offer in catalog.offers(ANY, "bedrock")}
    assert ("amazon/nova-premier" in listed) is there
    assert {"amazon/nova-lite", "anthropic/claude-sonnet-4.5"} <= listed
