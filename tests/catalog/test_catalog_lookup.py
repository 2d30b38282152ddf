"""Finding models and their rates for a licence."""

from msgspec.structs import replace

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model, Rates, complete
from quantized.core.ports import Override, Terms

_TERMS = Terms("plain")


def _rates(value: int) -> Rates:
    rates = complete(Override(input=value, output=value))
    assert rates is not None
    return rates


def _model(name: str, *, rate: int | None = 10, native: str | None = None, provider: str = "p") -> Model:
    return Model(
        id=name,
        provider=provider,
        native_id=native or name,
        name=name,
        author="a",
        rates=None if rate is None else _rates(rate),
    )


def test_a_model_is_found_by_its_public_and_its_native_name() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/m", native="m-2025")])
    for name in ("a/m", "m-2025"):
        offer = catalog.find("p", name, _TERMS)
        assert offer is not None
        assert offer.model.id == "a/m"
    assert catalog.find("p", "a/other", _TERMS) is None
    assert catalog.find("elsewhere", "a/m", _TERMS) is None


def test_a_public_name_wins_over_a_native_one() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/first", native="shared"), _model("shared", native="other")])
    offer = catalog.find("p", "shared", _TERMS)
    assert offer is not None
    assert offer.model.id == "shared"


def test_an_unpriced_model_is_known_and_not_offered() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/m", rate=None)])
    assert catalog.find("p", "a/m", _TERMS) is None
    assert catalog.unpriced("p", "a/m", _TERMS)
    assert not catalog.unpriced("p", "a/other", _TERMS)
    assert not catalog.unpriced("elsewhere", "a/m", _TERMS)
    assert catalog.offers(_TERMS) == []


def test_rates_are_the_operators_first_and_then_the_licence_types() -> None:
    catalog = Catalog(markup_bp=15_000, overrides={"p": {"a/set": Override(input=70)}})
    catalog.replace("p", [_model("a/m", rate=11), _model("a/set"), _model("a/own")])
    terms = Terms("dear", 20_000, {"a/own": Override(output=1)})

    def rates(name: str) -> tuple[int, int]:
        offer = catalog.find("p", name, terms)
        assert offer is not None
        return offer.rates.input, offer.rates.output

    assert rates("a/m") == (34, 34)  # 11 × 1.5 is 17 rounded up, × 2 is 34
    assert rates("a/set") == (140, 30)
    assert rates("a/own") == (30, 1)


def test_an_operators_override_can_price_what_the_list_does_not() -> None:
    catalog = Catalog(overrides={"p": {"a/m": Override(input=5, output=6)}})
    catalog.replace("p", [_model("a/m", rate=None)])
    offer = catalog.find("p", "a/m", _TERMS)
    assert offer is not None
    assert offer.rates == complete(Override(input=5, output=6))


def test_each_version_of_the_terms_has_its_own_rates() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/m", rate=100)])
    found = [catalog.find("p", "a/m", Terms(f"v{n}", 10_000 * n)) for n in (1, 2, 1)]
    assert [offer.rates.input for offer in found if offer] == [100, 200, 100]


def test_a_new_list_replaces_the_old_one_whole_and_nobody_elses() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/stays", rate=1), _model("a/goes")])
    catalog.replace("q", [_model("a/other", provider="q")])
    assert catalog.find("p", "a/goes", _TERMS) is not None
    catalog.replace("p", [_model("a/comes"), _model("a/stays", rate=2)])
    assert catalog.find("p", "a/goes", _TERMS) is None
    assert not catalog.unpriced("p", "a/goes", _TERMS)
    stays = catalog.find("p", "a/stays", _TERMS)
    assert stays is not None
    assert stays.rates.input == 2
    assert [offer.model.id for offer in catalog.offers(_TERMS, "p")] == ["a/comes", "a/stays"]
    assert [offer.model.id for offer in catalog.offers(_TERMS)] == ["a/comes", "a/stays", "a/other"]
    assert catalog.offers(_TERMS, "nobody") == []


def test_many_versions_of_terms_do_not_pile_up() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/m")])
    for number in range(50_000):
        catalog.find("p", "a/m", Terms(f"v{number}"))
    assert len(catalog._offers) <= 20_000


def test_the_same_model_of_two_providers_keeps_two_prices() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/m", rate=1)])
    catalog.replace("q", [replace(_model("a/m", rate=2), provider="q")])
    found = [catalog.find(provider, "a/m", _TERMS) for provider in ("p", "q")]
    assert [offer.rates.input for offer in found if offer] == [1, 2]


def test_only_allowed_models_are_there() -> None:
    catalog = Catalog()
    catalog.replace("p", [_model("a/m", native="m-2025"), _model("a/mini"), _model("b/m", native="a/native")])
    catalog.replace("q", [_model("a/unpriced", rate=None, provider="q"), _model("B/m", provider="q")])

    def allowed(*patterns: str) -> list[str]:
        return [offer.model.id for offer in catalog.offers(Terms(" ".join(patterns), allowed=patterns))]

    assert allowed("*") == ["a/m", "a/mini", "b/m", "B/m"]
    assert allowed("a/*") == ["a/m", "a/mini"]
    assert allowed("a/m", "B/?") == ["a/m", "B/m"]
    assert allowed("a/m*", "a/mini") == ["a/m", "a/mini"]
    assert allowed("m-2025") == allowed() == []
    terms = Terms("only b", allowed=("b/*",))
    for hidden in ("a/m", "m-2025", "a/mini"):
        assert catalog.find("p", hidden, terms) is None
        assert not catalog.unpriced("p", hidden, terms)
    assert not catalog.unpriced("q", "a/unpriced", terms)
    for shown in ("b/m", "a/native"):
        assert catalog.find("p", shown, terms) is not None
    assert catalog.find("p", "a/m", _TERMS) is not None
