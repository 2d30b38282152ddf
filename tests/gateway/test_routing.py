"""Who is asked for a model where a licence's type says which providers may be."""

import pytest

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model, Rates
from quantized.core.errors import ModelNotFound, UnknownProvider
from quantized.core.ports import Terms
from quantized.gateway.routing import asked, choose
from quantized.providers.demo import demo_provider
from quantized.providers.demo_upstream import DemoUpstream
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.registry import Registered, Registry


class StoppedClock:
    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0


UPSTREAM = DemoUpstream(StoppedClock())
DEMO = Registered(demo_provider(), UPSTREAM, by_model=True)
NAMED = [
    Registered(OpenAIChatProvider(name, "http://localhost:1/v1"), UPSTREAM) for name in ("main", "b", "a")
]
REGISTRY = Registry([DEMO, *NAMED], "main")


def names(*patterns: str) -> list[str]:
    return [one.provider.name for one in asked(REGISTRY, None, Terms("t", providers=patterns))]


def test_the_default_is_asked_first_wherever_it_is_allowed():
    assert names("a", "main") == ["main"]
    assert names("*") == ["main", "demo"]


def test_without_the_default_all_that_are_allowed_are_asked_in_the_licences_order():
    assert names("b", "a") == ["b", "a"]
    assert names("demo", "?") == ["demo", "a", "b"]
    assert names("nobody") == []


def test_a_caller_who_names_no_provider_reaches_the_models_of_those_that_are_allowed():
    catalog = Catalog()
    model = Model("lab/one", "a", "one", "One", "lab", Rates(*[1] * 9))
    catalog.replace("a", [model])
    catalog.replace("b", [])
    terms = Terms("t", providers=("b", "a"))
    assert choose(REGISTRY, catalog, "lab/one", None, terms).registered.provider.name == "a"
    with pytest.raises(UnknownProvider, match="possible values are a, b"):
        choose(REGISTRY, catalog, "lab/one", "main", terms)
    with pytest.raises(ModelNotFound):
        choose(REGISTRY, catalog, "lab/one", None, Terms("t", providers=("b",)))
