"""The models that can be called and what they cost whom: in memory, replaced whole, provider by provider."""

import logging
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace as changed

from quantized.catalog.model import Model, Offer
from quantized.catalog.pricing import adjust, derive
from quantized.core.ports import Override, Terms

_LARGEST_CACHE = 20_000

_log = logging.getLogger("quantized.catalog")


Spelling = Callable[[str], tuple[str, str] | None]
"""Of a name that is on no list: the native id of the listed model that it means, and the id to send for it.
None where it means none."""


class _Shelf(Struct, frozen=True):
    """One provider's models, in the order of its list, every name each is listed by, and how to read names
    that are not."""

    models: tuple[Model, ...]
    by_name: Mapping[str, Model]
    spelling: Spelling | None

    def find(self, name: str) -> Model | None:
        model = self.by_name.get(name)
        if model is not None or self.spelling is None:
            return model
        meant = self.spelling(name)
        model = None if meant is None else self.by_name.get(meant[0])
        return None if model is None or meant is None else changed(model, native_id=meant[1])


class Catalog:
    """`markup_bp` and `overrides` (by provider, then by model id) are the operator's: they make a provider's
    rates the catalogue's own, on which each licence type's terms build.

    Not for several threads: it is read and replaced on the event loop.
    """

    def __init__(
        self, *, markup_bp: int = 10_000, overrides: Mapping[str, Mapping[str, Override]] | None = None
    ) -> None:
        self._markup_bp = markup_bp
        self._overrides = overrides or {}
        self._complained: dict[str, set[str]] = {}
        self._shelves: dict[str, _Shelf] = {}
        self._offers: dict[tuple[str, str, str, str], Offer | None] = {}

    def replace(self, provider: str, models: Iterable[Model], spelling: Spelling | None = None) -> None:
        """From now on `provider` has these models, at its own rates, and no others; `spelling` reads further
        names of them. An override of none of them is told to the log, once."""
        models = list(models)
        overrides = self._overrides.get(provider, {})
        for name in overrides.keys() - {model.id for model in models} - self._complained.get(provider, set()):
            self._complained.setdefault(provider, set()).add(name)
            _log.warning(
                "[catalog.overrides.%s] %s is no model of the list, so its rates are nobody's", provider, name
            )
        shelf = tuple(
            changed(model, rates=adjust(model.rates, self._markup_bp, overrides.get(model.id)))
            for model in models
        )
        by_name = {model.native_id: model for model in shelf}
        # A public name wins over another model's native one.
        by_name.update((model.id, model) for model in shelf)
        self._shelves[provider] = _Shelf(shelf, by_name, spelling)
        self._offers.clear()

    def find(self, provider: str, name: str, terms: Terms) -> Offer | None:
        """The model with this public or native name at the licence's rates, or None: unknown, unpriced or not
        allowed."""
        shelf = self._shelves.get(provider)
        model = None if shelf is None else shelf.find(name)
        return None if model is None else self._offer(model, terms)

    def unpriced(self, provider: str, name: str, terms: Terms) -> bool:
        """Whether the name is known here and allowed. Asked when `find` found nothing: then what lacks is the
        price."""
        shelf = self._shelves.get(provider)
        model = None if shelf is None else shelf.find(name)
        return model is not None and _is_allowed(model, terms)

    def stocked(self, provider: str) -> bool:
        """Whether this provider's models are known at all: its list may be on its way yet."""
        return provider in self._shelves

    def offers(self, terms: Terms, provider: str | None = None) -> list[Offer]:
        """All listed models that a licence can call, of one provider or of all, in the order of the
        providers' lists."""
        shelves = self._shelves.values() if provider is None else [self._shelves.get(provider)]
        listed = (model for shelf in shelves if shelf for model in shelf.models if model.listed)
        found = (self._offer(model, terms) for model in listed)
        return [offer for offer in found if offer is not None]

    def _offer(self, model: Model, terms: Terms) -> Offer | None:
        # One model may be sent by several names.
        key = (terms.id, model.provider, model.id, model.native_id)
        try:
            return self._offers[key]
        except KeyError:
            pass
        rates = derive(model.rates, terms, model.id) if _is_allowed(model, terms) else None
        offer = None if rates is None else Offer(model, rates)
        if len(self._offers) >= _LARGEST_CACHE:
            self._offers.clear()
        self._offers[key] = offer
        return offer


def _is_allowed(model: Model, terms: Terms) -> bool:
    return all(
        patterns is None or any(fnmatchcase(model.id, pattern) for pattern in patterns)
        for patterns in (terms.allowed, terms.narrowed)
    )
