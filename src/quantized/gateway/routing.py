"""Which provider answers a request, at which rates."""

from fnmatch import fnmatchcase

from msgspec import Struct

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Offer
from quantized.core.errors import ModelNotFound, ModelNotPriced, ProviderUnavailable, UnknownProvider
from quantized.core.ports import Terms
from quantized.providers.registry import Registered, Registry

PROVIDER_HEADER = "X-Quantized-Provider"


class Route(Struct, frozen=True):
    registered: Registered
    offer: Offer


def asked(registry: Registry, forced: str | None, terms: Terms) -> tuple[Registered, ...]:
    """Who is asked for a model, in order: the forced provider, or those that need not be forced. What these
    terms do not allow is as if it were not configured. Terms that leave out the default provider name those
    that stand in for it: all that they allow, in their order.

    Raises UnknownProvider with the names that would work.
    """
    if forced is not None:
        return (_named(registry, forced, terms),)
    if terms.providers is None:
        return registry.unforced
    if registry.default is not None and is_allowed(registry.default.provider.name, terms):
        return tuple(one for one in registry.unforced if is_allowed(one.provider.name, terms))
    return _in_their_order(registry, terms.providers)


def _in_their_order(registry: Registry, patterns: tuple[str, ...]) -> tuple[Registered, ...]:
    names = dict.fromkeys(
        name for pattern in patterns for name in registry.names if fnmatchcase(name, pattern)
    )
    found = (registry.get(name) for name in names)
    return tuple(one for one in found if one is not None)


def is_allowed(name: str, terms: Terms) -> bool:
    """Whether these terms let the provider be asked."""
    return terms.providers is None or any(fnmatchcase(name, pattern) for pattern in terms.providers)


def _named(registry: Registry, name: str, terms: Terms) -> Registered:
    registered = registry.get(name)
    if registered is None or not is_allowed(name, terms):
        possible = [each for each in registry.names if is_allowed(each, terms)]
        raise UnknownProvider(
            f"{PROVIDER_HEADER} names no configured provider: found {name[:64]!r}, "
            f"possible values are {', '.join(possible)}",
            param=PROVIDER_HEADER,
            code="unknown_provider",
        )
    return registered


def choose(registry: Registry, catalog: Catalog, model: str, forced: str | None, terms: Terms) -> Route:
    """The forced provider's model or nothing; else that of the first who has it of those who are asked.

    Raises UnknownProvider, ModelNotFound, ModelNotPriced; ProviderUnavailable while a provider's list of
    models has not arrived.
    """
    candidates = asked(registry, forced, terms)
    for registered in candidates:
        name = registered.provider.name
        offer = catalog.find(name, model, terms)
        if offer is not None:
            return Route(registered, offer)
        if catalog.unpriced(name, model, terms):
            raise ModelNotPriced(
                f"Model '{model}' has no known price here, so it cannot be called. "
                "GET /v1/models lists the models that can.",
                param="model",
                code="model_not_priced",
            )
    for registered in candidates:
        if not catalog.stocked(registered.provider.name):
            raise ProviderUnavailable(
                cause=f"the models of {registered.provider.name} are not known yet", alert=True
            )
    tried = ", ".join(candidate.provider.name for candidate in candidates) or "no provider at all"
    raise ModelNotFound(model, cause=f"not in the catalogue of: {tried}")
