"""The hot endpoints: one class for every surface."""

from typing import Protocol

from msgspec import Struct

from quantized.auth.authenticate import Authenticator
from quantized.core.errors import Fault
from quantized.core.limits import Standing
from quantized.core.ports import Caller
from quantized.gateway.generate import Gateway, Generation
from quantized.gateway.journal import Journal
from quantized.gateway.routing import PROVIDER_HEADER
from quantized.http.direct import DirectExchange, Watch
from quantized.http.limit_headers import limit_headers
from quantized.http.messages import Headers
from quantized.surfaces.surface import Dialogue, ErrorAnswer

_PROVIDER = PROVIDER_HEADER.lower().encode()


class Reception(Protocol):
    """Where the requests of one surface are read."""

    @property
    def name(self) -> str:
        """The surface, for the log and the ledger."""

    async def open(self, caller: Caller, body: bytes, journal: Journal) -> Dialogue:
        """Raises InvalidRequest and its kinds, and what the surface needs beside the body may raise."""

    def render_error(self, fault: Fault) -> ErrorAnswer: ...


class GenerationEndpoint(Struct, frozen=True):
    """POST of one surface. `body_bytes` bounds a request's body."""

    reception: Reception
    authenticator: Authenticator
    gateway: Gateway
    watch: Watch
    body_bytes: int

    async def __call__(self, exchange: DirectExchange, journal: Journal) -> None:
        """Faults are answered. Cancelled when the client has left."""
        journal.surface = self.reception.name
        dialogue: Dialogue | None = None
        generation: Generation | None = None
        try:
            # The credential is judged before a byte of the body is read.
            caller = await self.authenticator.authenticate(exchange.header(b"authorization"))
            journal.license_id = caller.license_id
            journal.key_id = caller.key_id
            journal.user_id = caller.user_id
            body = await exchange.read_body(self.body_bytes, self.watch.body)
            dialogue = await self.reception.open(caller, body, journal)
            journal.model = dialogue.request.model
            journal.stream = dialogue.request.stream
            forced = exchange.header(_PROVIDER)
            generation = Generation(self.gateway, caller, dialogue, forced, journal)
            if dialogue.request.stream:
                await self._stream(generation, exchange, journal)
            else:
                answer = await generation.answer()
                journal.status = 200
                exchange.respond(200, answer, _told_headers(generation))
        except Fault as fault:
            journal.note_fault(fault)
            told = fault if dialogue is None else dialogue.located(fault)
            self._refuse(told, exchange, journal, None if generation is None else generation.standing)

    async def _stream(self, generation: Generation, exchange: DirectExchange, journal: Journal) -> None:
        stream = await generation.start()
        journal.status = 200
        exchange.begin_events(_told_headers(generation), self.watch)
        exchange.end(await stream.pump(exchange.push))

    def _refuse(
        self, fault: Fault, exchange: DirectExchange, journal: Journal, standing: Standing | None
    ) -> None:
        error = self.reception.render_error(fault)
        journal.status = error.status
        headers = [] if error.retry_after is None else [(b"retry-after", b"%d" % error.retry_after)]
        if standing is not None:
            headers += limit_headers(standing)
        exchange.respond(error.status, error.body, headers)


def _told_headers(generation: Generation) -> Headers:
    cap, standing = generation.output_cap, generation.standing
    headers = [] if cap is None else [(b"x-quantized-output-cap", b"%d" % cap)]
    return headers if standing is None else headers + limit_headers(standing)
