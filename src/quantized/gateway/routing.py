"""Which provider answers a request, at which rates."""

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


def provider_named(registry: Registry, name: str) -> Registered:
    """The provider of this name. Raises UnknownProvider with the names that would work."""
    registered = registry.get(name)
    if registered is None:
        raise UnknownProvider(
            f"{PROVIDER_HEADER} names no configured provider: found {name[:64]!r}, "
            f"possible values are {', '.join(registry.names)}",
            param=PROVIDER_HEADER,
            code="unknown_provider",
        )
    return registered


def choose(registry: Registry, catalog: Catalog, model: str, forced: str | None, terms: Terms) -> Route:
    """The forced provider's model or nothing; else the default provider's, else that of a provider which is
    reached by the names of its models alone.

    Raises UnknownProvider, ModelNotFound, ModelNotPriced; ProviderUnavailable while a provider's list of
    models has not arrived.
    """
    candidates = registry.unforced if forced is None else (provider_named(registry, forced),)
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
    tried = ", ".join(candidate.provider.name for candidate in candidates) or "no provider is configured"
    raise ModelNotFound(model, cause=f"not in the catalogue of: {tried}")
