"""Keeps the catalogue fresh from the providers' own lists of models, in the background.

A start waits for the database at most, never for the network: the list that was kept last is good enough to
begin with. A list that fails to come, or comes empty or as garbage, changes nothing.

Of several gateways on one database whoever has a new list keeps it, and the others take it from there within
a second or so: what a model costs is the same at each.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, Protocol

import msgspec
from msgspec import Raw, Struct

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model
from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger(__name__)

_FIRST_RETRY = 5.0
_JITTER = 0.1
_LOOK_SECONDS = 1.0
"""How often it is looked whether another gateway has kept a new list."""
_LARGEST_LIST = 32 * 1024 * 1024


class CatalogRows(Protocol):
    """Where lists are kept: each row as its provider wrote it, by the model's id."""

    def load(self, provider: str) -> Awaitable[Sequence[bytes]]:
        """The rows kept last, in their order. Raises LedgerUnavailable."""

    def fetched_at(self, provider: str) -> Awaitable[int | None]:
        """What `replace` was last told. Raises LedgerUnavailable."""

    def replace(self, provider: str, rows: Sequence[tuple[str, bytes]], fetched_at: int) -> Awaitable[None]:
        """Keeps these rows, each with its model's id, and no others. `fetched_at` is Unix time in
        milliseconds. Raises LedgerUnavailable."""


class ModelSource(Struct, frozen=True):
    """A provider's list: `url` answers with `{"data": [{"id": …}, …]}`; `parse` makes a model of one element
    of `data` and raises ValueError where it cannot."""

    provider: str
    url: str
    headers: tuple[tuple[str, str], ...]
    parse: Callable[[bytes], Model]


class UnusableList(Exception):
    """A list came that nobody could work with."""


class Way(Struct, frozen=True):
    """How the lists are reached: through the proxy at this http:// URL, but for these hosts and their
    domains."""

    proxy: str | None = None
    no_proxy: tuple[str, ...] = ()


class Refresher:
    """`interval` and `timeout` in seconds: from one good list to the next, and for one whole fetch."""

    def __init__(  # noqa: PLR0913 - bounds by keyword, each with a default
        self,
        catalog: Catalog,
        sources: Sequence[ModelSource],
        rows: CatalogRows,
        clock: Clock,
        *,
        interval: float = 3_600.0,
        timeout: float = 30.0,
        first_retry: float = _FIRST_RETRY,
        largest_list: int = _LARGEST_LIST,
        way: Way | None = None,
        look: float = _LOOK_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._sources = sources
        self._rows = rows
        self._clock = clock
        self._interval = interval
        self._timeout = timeout
        self._first_retry = first_retry
        self._largest_list = largest_list
        self._way = way or Way()
        self._look = look
        self._kept: dict[str, int | None] = {}
        """When the rows that we know of were fetched."""

    async def restore(self) -> None:
        """Fills the catalogue with the lists kept last. Raises LedgerUnavailable."""
        for source in self._sources:
            await self._take_kept(source)

    async def _take_kept(self, source: ModelSource) -> None:
        # Asked first: what is kept meanwhile is then taken once more.
        self._kept[source.provider] = await self._rows.fetched_at(source.provider)
        rows = await self._rows.load(source.provider)
        if not rows:
            return
        try:
            # Parsed on the loop, it would hold up every stream for that long.
            models, _ = await asyncio.to_thread(_parse, source, rows)
        except UnusableList as error:
            _log.warning("the stored models of %s cannot be used: %s", source.provider, error)
        else:
            self._catalog.replace(source.provider, models)
            _log.info("%d models of %s from the database", len(models), source.provider)

    async def run(self) -> None:
        """Fetches every list now and again and again, until cancelled."""
        if not self._sources:
            return
        client = await asyncio.to_thread(_client, self._timeout, self._way)
        async with client, asyncio.TaskGroup() as group:
            for source in self._sources:
                group.create_task(self._keep_fresh(client, source))
                group.create_task(self._follow(source))

    async def _keep_fresh(self, client: "httpx2.AsyncClient", source: ModelSource) -> NoReturn:
        retry = self._first_retry
        while True:
            if await self._refresh(client, source):
                wait, retry = self._interval, self._first_retry
            else:
                wait, retry = min(retry, self._interval), retry * 2
            # Many gateways started together should not all ask together.
            await asyncio.sleep(wait * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311

    async def _follow(self, source: ModelSource) -> NoReturn:
        """Takes over the lists that other gateways have fetched."""
        while True:
            await asyncio.sleep(self._look)
            try:
                kept = await self._rows.fetched_at(source.provider)
                if kept is not None and kept != self._kept.get(source.provider):
                    await self._take_kept(source)
            except LedgerUnavailable:
                pass  # Whoever serves without a database has other troubles, and tells of them.

    async def _refresh(self, client: "httpx2.AsyncClient", source: ModelSource) -> bool:
        try:
            async with asyncio.timeout(self._timeout):
                body = await _fetch(client, source, self._largest_list)
            # A list is megabytes of JSON: parsed on the loop, it would hold up every stream for that long.
            models, rows = await asyncio.to_thread(_read, source, body)
        except (UnusableList, TimeoutError, OSError, RecursionError) as error:
            _log.warning(
                "the models of %s stay as they are: %s", source.provider, str(error) or type(error).__name__
            )
            return False
        self._catalog.replace(source.provider, models)
        _log.info("%d models of %s, %d with a price", len(models), source.provider, _priced(models))
        now = self._clock.now_ms()
        try:
            await self._rows.replace(source.provider, rows, now)
        except LedgerUnavailable as error:
            _log.warning("the models of %s were not kept: %s", source.provider, error.cause)
        else:
            self._kept[source.provider] = now
            _log.info("%d models of %s are kept for the next start", len(rows), source.provider)
        return True


class _List(Struct, frozen=True):
    data: list[Raw]


def _client(timeout: float, way: Way) -> "httpx2.AsyncClient":
    # An import of 0.2 s and a certificate store, which a start should not wait for.
    import httpx2  # noqa: PLC0415

    direct = [pattern for host in way.no_proxy for pattern in (f"all://{host}", f"all://*.{host}")]
    return httpx2.AsyncClient(
        timeout=timeout,
        follow_redirects=True,
        trust_env=False,
        proxy=way.proxy,
        mounts=dict.fromkeys(direct) if way.proxy else None,
    )


async def _fetch(client: "httpx2.AsyncClient", source: ModelSource, largest: int) -> bytes:
    import httpx2  # noqa: PLC0415 - already imported by `_client`

    try:
        async with client.stream("GET", source.url, headers=dict(source.headers)) as response:
            if response.status_code != 200:
                raise UnusableList(f"HTTP status {response.status_code}")
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > largest:
                    raise UnusableList(f"longer than {largest} bytes")
    except httpx2.HTTPError as error:
        raise UnusableList(f"{type(error).__name__}: {error}") from error
    return bytes(body)


def _read(source: ModelSource, body: bytes) -> tuple[list[Model], list[tuple[str, bytes]]]:
    try:
        rows = msgspec.json.decode(body, type=_List).data
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnusableList(f"not a list of models: {error}") from error
    return _parse(source, [bytes(row) for row in rows])


def _parse(source: ModelSource, rows: Sequence[bytes]) -> tuple[list[Model], list[tuple[str, bytes]]]:
    """The models of the rows that describe one, and those rows with the models' ids.

    A list of which more than half is noise is noise. Of two rows with one id the first counts.
    """
    understood: dict[str, tuple[Model, bytes]] = {}
    first: ValueError | None = None
    unread = 0
    for row in rows:
        try:
            model = source.parse(row)
        except ValueError as error:
            first = first or error
            unread += 1
        else:
            understood.setdefault(model.id, (model, row))
    if not understood or unread > len(rows) // 2:
        raise UnusableList(f"{unread} of {len(rows)} rows are no models: {first or 'the list is empty'}")
    if unread:
        _log.warning("%d rows of %s are no models, the first: %s", unread, source.provider, first)
    return [model for model, _ in understood.values()], [
        (model_id, row) for model_id, (_, row) in understood.items()
    ]


def _priced(models: Sequence[Model]) -> int:
    return sum(model.rates is not None for model in models)
