"""One request from its hold to its settlement: the story that the other rooms are told in.

    choose -> quote -> hold -> (fetch images) -> encode -> dispatch -> translate -> settle

However a request ends, its hold ends exactly once. The edge says that the client has left by cancelling the
task; the ledger takes a verb at the moment it is said, so a cancelled request still has its end.
"""

import asyncio
import logging
from functools import partial
from typing import TypeVar

from msgspec import Struct

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model
from quantized.core.errors import ModelNotFound, ProviderUnavailable
from quantized.core.events import Failed
from quantized.core.fold import Answer, fold
from quantized.core.limits import Standing
from quantized.core.ports import Caller, Clock, Hold, Ledger
from quantized.gateway.account import Account, client_left
from quantized.gateway.dispatch import Begin, Dispatch
from quantized.gateway.journal import Journal
from quantized.gateway.metering import Meter, measured, quote
from quantized.gateway.remote_images import RemoteImages
from quantized.gateway.retry import RetryPolicy
from quantized.gateway.routing import choose
from quantized.gateway.stream import Stream
from quantized.gateway.translation import Identity, Translation
from quantized.providers.provider import Target, UpstreamCall
from quantized.providers.registry import Registry
from quantized.surfaces.surface import Dialogue
from quantized.upstream.call import Patience, UpstreamResponse

T = TypeVar("T")

_log = logging.getLogger("quantized.gateway")


class Gateway(Struct, frozen=True):
    """What every request needs. `answer_bytes` bounds an unstreamed answer. `images`: None where images are
    not to be fetched."""

    registry: Registry
    catalog: Catalog
    ledger: Ledger
    clock: Clock
    patience: Patience
    retry: RetryPolicy
    answer_bytes: int
    images: RemoteImages | None = None


class Generation:
    """One request of one caller: `answer`, or `start` and then the stream's `pump`, once.

    Cancelling whoever awaits them closes the upstream connection and settles what was used. With CLIENT_LEFT
    it ends them at once; else, where part of the answer has been told, once its end has been told as well.
    """

    def __init__(
        self,
        gateway: Gateway,
        caller: Caller,
        dialogue: Dialogue,
        forced_provider: str | None,
        journal: Journal,
    ) -> None:
        """Raises UnknownProvider, ModelNotFound, ModelNotPriced, UnsupportedParameter, AboveLimit."""
        self._gateway = gateway
        self._dialogue = dialogue
        self._request = request = dialogue.request
        self._journal = journal
        self._license_id = caller.license_id
        route = choose(gateway.registry, gateway.catalog, request.model, forced_provider, caller.terms)
        self._to = route.registered
        journal.provider = self._to.provider.name
        if request.web_search is not None:
            # First the provider: where it cannot search, that a search has no price would mislead.
            self._to.provider.encode(request, _target(route.offer.model, None))
        self._quote = quote(request, route.offer, self._to.provider.capabilities, caller.limits)
        self._account = Account(
            gateway.ledger, gateway.clock, caller, self._quote, journal, gateway.patience.total
        )
        self.output_cap: int | None = None
        """The output cap in tokens that the balance or the licence's limit made necessary, where one did."""

    @property
    def standing(self) -> Standing | None:
        """Where the licence stands with its limits by the minute, once they have been asked."""
        return self._account.standing

    async def answer(self) -> bytes:
        """The body of the whole answer, settled. Raises the fault that prevented it; nothing was charged
        then, unless it is that the charge could not be written in time: that is on its way still."""
        answer, meter = await self._begin(self._whole)
        usage, estimated = measured(self._request, self._quote, meter, answer.usage)
        try:
            turn, body = self._dialogue.whole(answer, usage)
            kept = self._dialogue.kept(turn)
        except Exception:
            # A fault of ours must not lose the charge: the provider has done its work.
            await self._account.settle("completed", usage, estimated, answer.cost, None)
            raise
        return body(await self._account.settle("completed", usage, estimated, answer.cost, kept))

    async def start(self) -> Stream:
        """A stream that has begun: its first event is there. Raises the fault that prevented it; nothing was
        charged then."""
        return await self._begin(self._first_event)

    async def _begin(self, read: Begin[T]) -> T:
        hold = await self._account.hold()
        gateway = self._gateway
        dispatch = Dispatch(self._to, gateway.patience, gateway.retry, gateway.clock, self._journal)
        try:
            return await dispatch.begin(await self._encode(hold), read)
        except asyncio.CancelledError as stop:
            self._abandon(stop, dispatch.under_way)
            raise
        except BaseException as error:
            await self._account.release(type(error).__name__)
            if isinstance(error, ModelNotFound):
                # The provider knows the model by its own name, the caller by the one that was asked for.
                raise ModelNotFound(self._request.model, cause=error.cause) from error
            raise

    def _abandon(self, stop: asyncio.CancelledError, under_way: bool) -> None:
        """Nothing of an answer has been told. Whoever left pays for what the provider may be working on, at
        least for the input; where it is us who stop, it is our loss."""
        if under_way and client_left(stop):
            usage, _ = measured(self._request, self._quote, Meter(), None)
            self._account.abandon(stop, usage)
            return
        if under_way:
            _log.warning(
                "what the provider was asked is given up by the stop, and charged to nobody",
                extra={"request_id": self._journal.request_id, "provider": self._journal.provider},
            )
        self._account.abandon(stop, None)

    async def _encode(self, hold: Hold) -> UpstreamCall:
        provider, images = self._to.provider, self._gateway.images
        lowered = self._quote.lowered_cap(hold.amount)
        self.output_cap = lowered = self._quote.imposed_cap if lowered is None else lowered
        cap = self._request.max_output_tokens if lowered is None else lowered
        if cap is None and provider.capabilities.cap_required:
            cap = self._quote.output_cap
        encode = partial(provider.encode, target=_target(self._quote.offer.model, cap))
        request = self._request
        if images is not None and not provider.capabilities.fetches_images:
            request = await images.inlined(request, encode, self._license_id)
        return encode(request)

    async def _whole(self, response: UpstreamResponse, _: float) -> tuple[Answer, Meter]:
        body = await response.read(self._gateway.answer_bytes)
        journal = self._journal
        journal.first_byte_ms = self._gateway.clock.now_ms() - journal.started_at
        events = self._to.provider.decode_body(self._request, body)
        ending = events[-1]
        if type(ending) is Failed:
            # Nobody is charged for an answer that did not come; what it took, an operator may want to know.
            journal.usage = ending.usage
        answer = self._identity().named(fold(events))
        meter = Meter()
        if answer.usage is None:
            for event in events:
                meter.note(event)
        journal.upstream_id = answer.id
        return answer, meter

    async def _first_event(self, response: UpstreamResponse, since: float) -> Stream:
        gateway = self._gateway
        provider = self._to.provider
        renderer = self._dialogue.renderer()
        # Reasoning that the caller does not want to read must not slip through on a frame left as it came.
        hides = self._request.reasoning is not None and bool(self._request.reasoning.exclude)
        relays = provider.capabilities.language == self._dialogue.language and not hides
        decoder = provider.decoder(self._request)
        translation = Translation(decoder, renderer, self._identity(), relays=relays)
        # Mostly the first frame comes with the head. No timer is set for what there is no waiting for.
        data = response.arrived()
        beginning = translation.feed(data) if data else b""
        try:
            # Bytes that tell nothing (comments) keep a connection alive, but are not a first byte.
            if not translation.begun:
                async with asyncio.timeout_at(since + gateway.patience.first_byte):
                    while not translation.begun:
                        data = await response.next()
                        beginning += translation.feed(data) if data else translation.close()
        except TimeoutError as error:
            raise ProviderUnavailable(cause="first_byte: nothing but comments in time") from error
        if translation.started is None and isinstance(translation.terminal, Failed):
            raise translation.terminal.fault
        self._journal.first_byte_ms = gateway.clock.now_ms() - self._journal.started_at
        return Stream(
            response,
            translation,
            renderer,
            self._account,
            dialogue=self._dialogue,
            quote=self._quote,
            journal=self._journal,
            beginning=beginning,
        )

    def _identity(self) -> Identity:
        journal = self._journal
        return Identity(f"gen-{journal.request_id.removeprefix('req-')}", journal.started_at // 1000)


def _target(model: Model, output_cap: int | None) -> Target:
    return Target(model.native_id, output_cap, frozenset(model.features))
