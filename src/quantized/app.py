"""The composition root: settings become resources, resources become the ASGI application.

The one place that knows every room.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.routing import Route

from quantized import logs, machine
from quantized.admin.claim_page import ClaimPage
from quantized.admin.pool import THREADS, AdminPool
from quantized.admin.routes import AdminRoutes
from quantized.administration.port import Administering, Claiming
from quantized.auth.admission import Admission
from quantized.auth.authenticate import Authenticator
from quantized.auth.ended_tokens import EndedTokens
from quantized.catalog.catalog import Catalog
from quantized.catalog.refresh import Refresher, Way
from quantized.clock import SystemClock
from quantized.conversations.conversations import Conversations
from quantized.conversations.rules import Limits as ConversationLimits
from quantized.conversations.sweeper import RetentionSweeper
from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.gateway.generate import Gateway
from quantized.gateway.remote_images import RemoteImages
from quantized.gateway.retry import RetryPolicy
from quantized.http.asgi import AsgiApp
from quantized.http.cold import ColdRooms
from quantized.http.connection import ClientConnection, Direct, ServerState
from quantized.http.direct import Watch
from quantized.http.edge import Edge
from quantized.http.generation import GenerationEndpoint
from quantized.http.messages import Headers, Message, Receive, Scope, Send
from quantized.http.openapi import description
from quantized.http.receptions import ChatReception, ResponsesReception
from quantized.http.refusals import Refusal
from quantized.http.stored_responses import StoredResponses
from quantized.ledger.first_credits import FirstCredits
from quantized.ledger.leases import Identity, LeaseKeeper, LeaseTimes
from quantized.ledger.ledger import GroupCommitLedger
from quantized.ledger.sweeper import Sweeper
from quantized.ledger.tenure import Tenure
from quantized.providers import demo, openrouter
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.bedrock.chain import BotocoreChain
from quantized.providers.bedrock.credentials import CredentialKeeper
from quantized.providers.bedrock.provider import BedrockProvider
from quantized.providers.bedrock.seals import MAKER as BEDROCK
from quantized.providers.bedrock.signing import BearerToken, Signer
from quantized.providers.demo_upstream import DemoUpstream
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.provider import Provider
from quantized.providers.registry import Registered, Registry
from quantized.settings import Settings
from quantized.settings_providers import AnthropicSettings, BedrockSettings, ProviderRow, ProviderSettings
from quantized.stock import model_sources, stocked_catalog
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.database import DatabaseUnusable
from quantized.storage.keys import SqlKeyStore
from quantized.storage.leases import Leases
from quantized.storage.stores import ledger_store, turn_store
from quantized.storage.tokens import SqlTokenStore
from quantized.surfaces.chat.errors import render_error
from quantized.surfaces.chat.openapi import PATH as CHAT
from quantized.surfaces.chat.surface import ChatSurface
from quantized.surfaces.responses.openapi import PATH as RESPONSES
from quantized.surfaces.responses.stored import response_of
from quantized.surfaces.responses.surface import ResponsesSurface
from quantized.upstream.call import Patience, Upstream
from quantized.upstream.fetch import ImageFetcher
from quantized.upstream.pool import Pool

_log = logging.getLogger("quantized")

_SWEEP_SECONDS = 30.0
_BEHIND_SECONDS = 4.0
"""For how long the ledger may get nothing written, before requests had better go elsewhere."""

_RETENTION_SECONDS = 600.0
_ENDED_SECONDS = 86_400.0
_CREDENTIAL_SECONDS = 0.5
"""How much longer start-up waits for credentials than for everything else. Most are there by then; a metadata
service that does not answer would take much longer, and what it has is taken when it comes."""


class _Desk(Administering, Claiming, Protocol):
    """Both of what one object does."""


class Application:
    """What is served. Its resources live from the server's start-up to its shutdown; called as an ASGI
    application it serves nothing but these two."""

    def __init__(
        self, settings: Settings, worker: int | None = None, leave_by: Callable[[], float] | None = None
    ) -> None:
        """`worker` names this process in the log, where it is one of several. `leave_by` says, once it has
        been told to stop, until when (in the loop's time) it may write what has to be written."""
        self._settings = settings
        self._worker = worker
        self._leave_by = leave_by
        self._cannot_start: str | None = None
        self._lifespan = Starlette(lifespan=self._living)
        self.direct: Mapping[str, Direct] = {}
        self.asgi: AsgiApp = self._lifespan
        self.refused: Callable[[Refusal], Headers] = lambda _: []

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed" and self._cannot_start:
                # An operator has use for the cause, and for no traceback.
                message = {**message, "message": f"cannot start: {self._cannot_start}"}
            await send(message)

        return self._lifespan(scope, receive, tell)

    def connection(self, *, server_state: ServerState, **_: object) -> ClientConnection:
        """For each client that connects, as the server asks for it."""
        return ClientConnection(self, server_state)

    @asynccontextmanager
    async def _living(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as resources:
            try:
                edge = await _open(self._settings, self._worker, resources, self._leave_by)
            except DatabaseUnusable as error:
                self._cannot_start = str(error)
                raise
            except LedgerUnavailable as error:
                self._cannot_start = error.cause
                raise
            # Requests that the server cancels still have to say the end of their holds.
            resources.push_async_callback(edge.drained)
            self.direct, self.asgi, self.refused = edge.direct, edge.asgi, edge.refused
            yield


async def _open(
    settings: Settings,
    worker: int | None,
    resources: AsyncExitStack,
    leave_by: Callable[[], float] | None,
) -> Edge:
    clock = SystemClock()
    outgoing = settings.outgoing
    pool = Pool(proxy=outgoing.proxy or None, no_proxy=outgoing.no_proxy)
    resources.push_async_callback(pool.close)
    keys = SqlKeyStore(settings.database_url)
    resources.callback(keys.close)
    ledger = await _ledger(settings, resources, clock, leave_by)
    aws = _aws_credentials(settings, resources, clock)
    catalog = await _catalog(settings, resources, clock)
    conversations = _conversations(settings, resources, clock)
    if aws is not None:
        await aws.looked(_CREDENTIAL_SECONDS)

    registry = Registry(_providers(settings, pool, clock, aws), settings.default_provider)
    authenticator = Authenticator(
        keys, clock, settings.key_cache_seconds, _admission(settings, resources, clock)
    )
    gateway = _gateway(settings, registry, catalog, ledger, clock)
    hot = _endpoints(settings, authenticator, gateway, conversations)
    cold = ColdRooms(
        authenticator=authenticator,
        catalog=catalog,
        registry=registry,
        read_license=keys.read_license,
        ready=partial(_readiness, keys, ledger, catalog, registry),
        render_error=render_error,
        routes=[
            *StoredResponses(authenticator, conversations).routes(),
            *_admin_routes(settings, resources, clock),
        ],
        openapi=description(),
    )
    request_log = logs.RequestLog(settings.log_level, worker)
    resources.callback(request_log.flush)
    return Edge(hot, cold.app(), clock, request_log.write, settings.cors_origins)


def _gateway(
    settings: Settings, registry: Registry, catalog: Catalog, ledger: GroupCommitLedger, clock: Clock
) -> Gateway:
    timeouts, retries = settings.timeouts, settings.retries
    return Gateway(
        registry=registry,
        catalog=catalog,
        ledger=ledger,
        clock=clock,
        patience=Patience(timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total),
        retry=RetryPolicy(retries.attempts, retries.longest_wait),
        answer_bytes=settings.limits.answer_bytes,
        images=RemoteImages(ImageFetcher()) if _fetches_images(settings) else None,
    )


def _endpoints(
    settings: Settings, authenticator: Authenticator, gateway: Gateway, conversations: Conversations
) -> Mapping[str, GenerationEndpoint]:
    """What is generated, by its path."""
    limits = settings.limits
    endpoint = partial(
        GenerationEndpoint,
        authenticator=authenticator,
        gateway=gateway,
        watch=Watch(settings.keep_alive_seconds, stall=settings.timeouts.idle, body=limits.body_seconds),
        body_bytes=limits.body_bytes,
    )
    responses = ResponsesReception(
        ResponsesSurface(limits.body_depth), conversations, settings.responses.retention_days
    )
    return {
        CHAT: endpoint(ChatReception(ChatSurface(limits.body_depth))),
        RESPONSES: endpoint(responses),
    }


def _admin_routes(settings: Settings, resources: AsyncExitStack, clock: Clock) -> list[Route]:
    """Of administrators, and of those whom they sent a link."""

    def administration() -> _Desk:
        # With the database's library: half a second that a start must not pay.
        from quantized.administration.administration import Administration  # noqa: PLC0415

        return Administration(settings.database_url, clock, kept=THREADS, public_url=settings.site)

    claims: AdminPool[Claiming] = AdminPool(administration)
    resources.callback(claims.close)
    routes = ClaimPage(claims).routes()
    if settings.admin_api:
        pool: AdminPool[Administering] = AdminPool(administration)
        resources.callback(pool.close)
        routes += AdminRoutes(pool).routes()
    return routes


def _admission(settings: Settings, resources: AsyncExitStack, clock: Clock) -> Admission:
    """Of signed tokens, at their first use."""
    tokens = SqlTokenStore(settings.database_url)
    resources.callback(tokens.close)
    _in_background(resources, EndedTokens(tokens, clock).run(_ENDED_SECONDS))
    return Admission(tokens, FirstCredits(settings.database_url, clock).grant, clock)


async def _ledger(
    settings: Settings, resources: AsyncExitStack, clock: Clock, leave_by: Callable[[], float] | None
) -> GroupCommitLedger:
    """With those who end what nobody else ends, who read on a connection of their own."""
    url = settings.database_url
    me = machine.identity()
    leases = Leases(url)
    resources.callback(leases.close)
    resources.push_async_callback(_leave, leases, me)
    times = LeaseTimes()
    tenure = Tenure(clock, times.term)
    ledger = GroupCommitLedger(ledger_store(url, owner=me.id), tenure, leased=tenure.lasts)
    resources.push_async_callback(ledger.close, leave_by)
    keeper = LeaseKeeper(me, tenure, ledger, leases, machine.runs, times)
    await keeper.renew()
    _in_background(resources, keeper.run())
    _in_background(resources, Sweeper(ledger, leases, me.id, clock).run(_SWEEP_SECONDS))
    return ledger


async def _leave(leases: Leases, me: Identity) -> None:
    """Once the ledger has written what it could."""
    try:
        await leases.leave(me.id)
    except LedgerUnavailable as error:
        _log.error("the others will miss this process", extra={"cause": error.cause})


async def _catalog(settings: Settings, resources: AsyncExitStack, clock: Clock) -> Catalog:
    """With what was kept of the providers' lists, and kept fresh from now on."""
    catalog = await stocked_catalog(settings, clock)
    rows = CatalogRows(settings.database_url)
    resources.callback(rows.close)
    refresher = Refresher(
        catalog,
        model_sources(settings),
        rows,
        clock,
        interval=settings.catalog.refresh_seconds,
        way=Way(settings.outgoing.proxy or None, settings.outgoing.no_proxy),
    )
    await refresher.restore()
    _in_background(resources, refresher.run())
    return catalog


def _conversations(settings: Settings, resources: AsyncExitStack, clock: Clock) -> Conversations:
    """With the sweeper that ends their retention."""
    turns = turn_store(settings.database_url)
    resources.callback(turns.close)
    sweeper = RetentionSweeper(turns, clock, settings.timeouts.total)
    _in_background(resources, sweeper.run(_RETENTION_SECONDS))
    rules = settings.responses
    return Conversations(turns, clock, ConversationLimits(rules.chain_turns, rules.chain_bytes), response_of)


async def _readiness(
    keys: SqlKeyStore, ledger: GroupCommitLedger, catalog: Catalog, registry: Registry
) -> str | None:
    """Why the gateway is not ready; None where it is."""
    if ledger.behind > _BEHIND_SECONDS:
        return "the database does not take what the ledger writes"
    try:
        await keys.check()
    except LedgerUnavailable:
        return "the database does not answer"
    return None if any(map(catalog.stocked, registry.names)) else "no models are known yet"


def _aws_credentials(settings: Settings, resources: AsyncExitStack, clock: Clock) -> CredentialKeeper | None:
    """On the look-out from now on. None where nothing is signed."""
    row = settings.providers.get(BEDROCK)
    if not isinstance(row, BedrockSettings) or row.bearer_token is not None:
        return None
    keeper = CredentialKeeper(BotocoreChain(row.profile, settings.outgoing.proxy or None, row.region), clock)
    _in_background(resources, keeper.run())
    return keeper


def _fetches_images(settings: Settings) -> bool:
    rows = settings.providers.values()
    return any(row.fetch_images for row in rows if isinstance(row, BedrockSettings))


def _providers(
    settings: Settings, pool: Upstream, clock: Clock, aws: CredentialKeeper | None
) -> list[Registered]:
    rows = [Registered(_provider(settings, name, row, aws), pool) for name, row in settings.providers.items()]
    if not rows:
        # Else the first sign of it is that a model is not found.
        add = "set OPENROUTER_API_KEY, or add a table [providers.NAME] to quantized.toml"
        there = "only the demo's" if settings.demo else "none"
        _log.info("no provider is configured", extra={"models": there, "to_add_one": add})
    if settings.demo:
        rows.append(Registered(demo.demo_provider(), DemoUpstream(clock), by_model=True))
    return rows


def _provider(settings: Settings, name: str, row: ProviderRow, aws: CredentialKeeper | None) -> Provider:
    match row:
        case BedrockSettings(region):
            authorizer = BearerToken(row.bearer_token or "") if aws is None else Signer(aws.current, region)
            return BedrockProvider(
                region,
                authorizer,
                endpoint=row.endpoint,
                automatic_caching=row.caching,
                answer_bytes=settings.limits.answer_bytes,
                geography=row.geography,
                profiles={arn: profile.model for arn, profile in row.profiles.items()},
            )
        case AnthropicSettings(base_url, api_key, caching, searches):
            return AnthropicProvider(base_url, api_key, automatic_caching=caching, web_searches=searches)
        case ProviderSettings(base_url, api_key) if name == openrouter.NAME:
            return openrouter.openrouter(api_key, base_url)
        case ProviderSettings(base_url, api_key):
            dialect = Dialect(
                output_cap_field=row.output_cap_field,
                cap_required=row.output_cap_required,
                stream_usage=row.stream_usage,
                reasoning_field=row.reasoning_field,
                unsigned_calls=row.unsigned_calls,
            )
            return OpenAIChatProvider(name, base_url, api_key, dialect)


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
