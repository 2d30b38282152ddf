"""The list of models as the official SDK and a careful reader see it."""

from decimal import Decimal

import httpx
import msgspec
import openai

from quantized.catalog.model import Modality, Model, Offer, Tier, complete
from quantized.core.ports import Override
from quantized.providers.demo_model import DEMO_MODEL
from quantized.surfaces.models import render_model, render_models

_RATES = complete(
    Override(input=400_000, output=1_600_000, cached_read=1, request=5_000_000_000, web_search=10_000_000_000)
)
assert _RATES is not None
_LONG = complete(Override(input=800_000, output=3_200_000))
assert _LONG is not None
_MODEL = Model(
    id="openai/gpt-4.1-mini",
    provider="p",
    native_id="gpt-4.1-mini",
    name="OpenAI: GPT-4.1 Mini",
    author="openai",
    rates=None,
    description="Small “and” quick.",
    context_window=1_047_576,
    max_output_tokens=32_768,
    input_modality=Modality(image=True),
    features=("tool_calls", "structured_output"),
    created=1_744_651_381,
)


def test_an_entry_has_every_documented_field() -> None:
    entry = msgspec.json.decode(render_model(Offer(_MODEL, _RATES)))
    cost, per_million = entry.pop("cost"), entry.pop("cost_per_million")
    assert entry == {
        "id": "openai/gpt-4.1-mini",
        "object": "model",
        "created": 1_744_651_381,
        "owned_by": "openai",
        "name": "OpenAI: GPT-4.1 Mini",
        "description": "Small “and” quick.",
        "model_author": "openai",
        "context_window": 1_047_576,
        "max_output_tokens": 32_768,
        "input_modality": {"text": True, "image": True, "audio": False, "video": False},
        "output_modality": {"text": True, "image": False, "audio": False, "video": False},
        "supported_features": ["tool_calls", "structured_output"],
    }
    assert per_million == {
        "input": 400_000,
        "cached_input": 1,
        "cache_write": 400_000,
        "cache_write_1h": 400_000,
        "input_audio": 400_000,
        "output": 1_600_000,
        "reasoning": 1_600_000,
        "output_audio": 1_600_000,
        "output_image": 1_600_000,
        "request": 5_000_000_000,
        "web_search": 10_000_000_000,
        "long_input": [],
    }
    assert cost.keys() == per_million.keys()


def test_costs_are_exact_decimals_of_one_unit() -> None:
    text = render_model(Offer(_MODEL, _RATES)).decode()
    cost = text[text.index('"cost":') : text.index('"cost_per_million":')]
    assert '"input":0.4,' in cost
    assert '"cached_input":0.000001,' in cost
    assert '"output":1.6,' in cost
    assert '"request":5000,' in cost
    assert '"web_search":10000,' in cost


def test_rates_for_long_inputs_stand_beside_the_others() -> None:
    rates = msgspec.structs.replace(_RATES, tiers=(Tier(200_000, _LONG),), web_search=None)
    entry = msgspec.json.Decoder(float_hook=Decimal).decode(render_model(Offer(_MODEL, rates)))
    assert entry["cost"]["web_search"] is None
    (long,) = entry["cost"]["long_input"]
    assert (long["from_input_tokens"], long["input"], long["output"]) == (
        200_000,
        Decimal("0.8"),
        Decimal("3.2"),
    )
    (long,) = entry["cost_per_million"]["long_input"]
    assert (long["from_input_tokens"], long["input"], long["output"]) == (200_000, 800_000, 3_200_000)


def test_unknown_limits_are_null() -> None:
    model = Model(id="a/m", provider="p", native_id="m", name="M", author="a", rates=None)
    entry = msgspec.json.decode(render_model(Offer(model, _RATES)))
    assert entry["context_window"] is None
    assert entry["max_output_tokens"] is None


def test_the_official_sdk_lists_and_retrieves() -> None:
    offers = [Offer(_MODEL, _RATES), Offer(DEMO_MODEL, DEMO_MODEL.rates)]

    def answer(request: httpx.Request) -> httpx.Response:
        body = (
            render_model(offers[1]) if request.url.path.endswith("/quantized/demo") else render_models(offers)
        )
        return httpx.Response(200, content=body, headers={"content-type": "application/json"})

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as transport,
        openai.OpenAI(api_key="sk-x", base_url="http://gateway/v1", http_client=transport) as client,
    ):
        listed = client.models.list()
        assert listed.object == "list"
        assert [model.id for model in listed] == ["openai/gpt-4.1-mini", "quantized/demo"]
        demo = client.models.retrieve("quantized/demo")
    assert (demo.id, demo.object, demo.owned_by) == ("quantized/demo", "model", "quantized")
    assert demo.to_dict()["cost"]["output"] == 4


def test_an_empty_list_is_a_list() -> None:
    assert msgspec.json.decode(render_models([])) == {"object": "list", "data": []}
