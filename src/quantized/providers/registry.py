"""The configured providers by name."""

from collections.abc import Iterable

from msgspec import Struct

from quantized.providers.provider import Provider
from quantized.upstream.call import Upstream


class Registered(Struct, frozen=True):
    """A provider and the way to it. `by_model`: its models are reached by their names, whatever the default
    provider is."""

    provider: Provider
    upstream: Upstream
    by_model: bool = False


class Registry:
    """`default` is the provider that is asked when a caller forces none; the one of that name need not be
    configured."""

    def __init__(self, registered: Iterable[Registered], default: str) -> None:
        """Raises ValueError where two have the same name."""
        self._by_name: dict[str, Registered] = {}
        for one in registered:
            if one.provider.name in self._by_name:
                raise ValueError(f"two providers are named {one.provider.name!r}")
            self._by_name[one.provider.name] = one
        self.default = first = self._by_name.get(default)
        rest = (one for one in self._by_name.values() if one.by_model and one is not first)
        self._unforced = (*(() if first is None else (first,)), *rest)

    def get(self, name: str) -> Registered | None:
        return self._by_name.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted(self._by_name))

    @property
    def unforced(self) -> tuple[Registered, ...]:
        """Who is asked for a model, in this order, when the caller forces no provider: the default, so that
        it is never shadowed, and then those that are reached by model name."""
        return self._unforced
