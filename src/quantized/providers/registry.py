"""The providers that this gateway has, by name: rows, never branches."""

from collections.abc import Iterable

from msgspec import Struct

from quantized.providers.provider import Provider
from quantized.upstream.call import Upstream


class Registered(Struct, frozen=True):
    """A provider and the way to reach it. `by_model_name`: it answers for its own models without being
    forced, after the default provider had its turn."""

    provider: Provider
    upstream: Upstream
    by_model_name: bool = False


class Registry:
    """Fixed once built. `default` names the provider that answers when none is forced; it need not exist."""

    def __init__(self, rows: Iterable[Registered], default: str) -> None:
        """Raises ValueError for two providers of one name."""
        self._rows: dict[str, Registered] = {}
        for row in rows:
            if row.provider.name in self._rows:
                raise ValueError(f"two providers are named {row.provider.name!r}")
            self._rows[row.provider.name] = row
        first = [self._rows[default]] if default in self._rows else []
        self.unforced: tuple[Registered, ...] = tuple(
            first + [row for row in self._rows.values() if row.by_model_name and row.provider.name != default]
        )
        """Who is asked, in this order, for a model when no provider is forced."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._rows))

    def get(self, name: str) -> Registered | None:
        return self._rows.get(name)
