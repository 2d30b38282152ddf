"""The composition root: settings become resources, resources become the ASGI application.

The one place that knows every room.
"""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware

from quantized import logs
from quantized.auth.authenticate import Authenticator
from quantized.catalog.refresh import Refresher
from quantized.clock import SystemClock
from quantized.core.errors import LedgerUnavailable
from quantized.gateway.generate import Gateway
from quantized.gateway.retry import RetryPolicy
from quantized.gateway.routing import PROVIDER_HEADER
from quantized.http.attendant import Watch
from quantized.http.cold import ColdRooms
from quantized.http.edge import App, Edge
from quantized.http.generation import GenerationEndpoint
from quantized.http.messages import Receive, Scope, Send
from quantized.http.openapi import description
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import Sweeper
from quantized.providers import demo, openrouter
from quantized.providers.demo_upstream import DemoUpstream
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.registry import Registered, Registry
from quantized.settings import ProviderSettings, Settings
from quantized.stock import model_sources, stocked_catalog
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.keys import SqlKeyStore
from quantized.storage.sqlite_ledger import SqliteLedgerStore
from quantized.surfaces.chat.errors import render_error
from quantized.surfaces.chat.openapi import PATH as CHAT
from quantized.surfaces.chat.surface import ChatSurface
from quantized.upstream.call import Patience, Upstream
from quantized.upstream.pool import Pool

_log = logging.getLogger("quantized")

_SWEEP_SECONDS = 30.0


class Application:
    """The ASGI application. Its resources live from the server's start-up to its shutdown."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lifespan = Starlette(lifespan=self._living)
        self._edge: App | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Not a coroutine of its own: every request would pay for one more frame to be resumed.
        app = self._lifespan if scope["type"] == "lifespan" or self._edge is None else self._edge
        return app(scope, receive, send)

    @asynccontextmanager
    async def _living(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as resources:
            edge = await _open(self._settings, resources)
            # Requests that the server cancels still have to say the end of their holds.
            resources.push_async_callback(edge.drained)
            origins = self._settings.cors_origins
            self._edge = _with_cors(edge, origins) if origins else edge
            yield


async def _open(settings: Settings, resources: AsyncExitStack) -> Edge:
    clock = SystemClock()
    url = settings.database_url

    pool = Pool()
    resources.push_async_callback(pool.close)
    keys = SqlKeyStore(url)
    resources.callback(keys.close)
    ledger = GroupCommitLedger(SqliteLedgerStore(url), clock)
    resources.push_async_callback(ledger.close)

    registry = Registry(_providers(settings, pool, clock), settings.default_provider)
    catalog = await stocked_catalog(settings, clock)
    refresher = Refresher(
        catalog, model_sources(settings), CatalogRows(url), clock, interval=settings.catalog.refresh_seconds
    )
    await refresher.restore()
    _in_background(resources, refresher.run())
    reading = SqliteLedgerStore(url)
    resources.callback(reading.close)
    _in_background(resources, Sweeper(ledger, reading, clock).run(_SWEEP_SECONDS))

    authenticator = Authenticator(keys, clock, settings.key_cache_seconds)
    timeouts = settings.timeouts
    gateway = Gateway(
        registry=registry,
        catalog=catalog,
        ledger=ledger,
        clock=clock,
        patience=Patience(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
        retry=RetryPolicy(settings.retries.attempts, settings.retries.longest_wait),
        answer_bytes=settings.limits.answer_bytes,
    )
    chat = GenerationEndpoint(
        surface=ChatSurface(settings.limits.body_depth),
        authenticator=authenticator,
        gateway=gateway,
        watch=Watch(keep_alive=settings.keep_alive_seconds, stall=timeouts.idle),
        body_bytes=settings.limits.body_bytes,
    )

    async def ready() -> str | None:
        try:
            await keys.check()
        except LedgerUnavailable:
            return "the database does not answer"
        return None if any(map(catalog.stocked, registry.names)) else "no models are known yet"

    cold = ColdRooms(
        authenticator=authenticator,
        catalog=catalog,
        registry=registry,
        read_license=keys.read_license,
        ready=ready,
        render_error=render_error,
        openapi=description(),
    )
    request_log = logs.RequestLog(settings.log_level)
    resources.callback(request_log.flush)
    return Edge({CHAT: chat}, cold.app(), clock, request_log.write)


def _providers(settings: Settings, pool: Upstream, clock: SystemClock) -> list[Registered]:
    rows = [Registered(_provider(name, row), pool) for name, row in settings.providers.items()]
    if settings.demo:
        rows.append(Registered(demo.demo_provider(), DemoUpstream(clock), by_model=True))
    return rows


def _provider(name: str, row: ProviderSettings) -> OpenAIChatProvider:
    if name == openrouter.NAME:
        return openrouter.openrouter(row.api_key, row.base_url)
    dialect = Dialect(output_cap_field=row.output_cap_field)
    return OpenAIChatProvider(name, row.base_url, row.api_key, dialect)


def _in_background(resources: AsyncExitStack, work: Coroutine[Any, Any, object]) -> None:
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.wait([task])

    task.add_done_callback(_report)
    resources.push_async_callback(stop)


def _report(task: asyncio.Task[object]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("a background task ended", exc_info=error)


def _with_cors(app: App, origins: tuple[str, ...]) -> App:
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "OPTIONS"],
        allow_headers=["Authorization", "Content-Type", PROVIDER_HEADER],
        expose_headers=["X-Request-Id", "X-Quantized-Output-Cap", "Retry-After"],
    )


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. The database must be migrated."""
    logs.configure(settings.log_level)
    # What start-up made stays for good, and requests make no cycles: looking for garbage among them every
    # 700 allocations took 8 % of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    config = uvicorn.Config(
        Application(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        interface="asgi3",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=4096,
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
    )
    # The server hands Ctrl-C on once it has stopped, and by then all is done.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run()
