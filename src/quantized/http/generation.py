"""The hot endpoints: one class for every surface. Raw ASGI, because a framework would cost as much again."""

from msgspec import Struct

from quantized.auth.authenticate import Authenticator
from quantized.core.errors import Fault
from quantized.core.request import GenerationRequest
from quantized.gateway.generate import Gateway, Generation
from quantized.gateway.journal import Journal
from quantized.gateway.routing import PROVIDER_HEADER
from quantized.http.attendant import Attendant, Watch
from quantized.http.event_stream import EventStream
from quantized.http.messages import (
    Headers,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    respond,
)
from quantized.surfaces.surface import Surface

_PROVIDER = PROVIDER_HEADER.lower().encode()


class GenerationEndpoint(Struct, frozen=True):
    """POST of one surface. `body_bytes` bounds a request's body."""

    surface: Surface
    authenticator: Authenticator
    gateway: Gateway
    watch: Watch
    body_bytes: int

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, journal: Journal, headers: Headers
    ) -> None:
        """`headers` go with every response. Raises ClientLeft; faults are answered."""
        journal.surface = self.surface.name
        try:
            # The credential is judged before a byte of the body is read.
            caller = await self.authenticator.authenticate(header(scope, b"authorization"))
            journal.license_id = caller.license_id
            journal.key_id = caller.key_id
            journal.user_id = caller.user_id
            request = self.surface.parse(await read_body(scope, receive, self.body_bytes))
            journal.model = request.model
            journal.stream = request.stream
            forced = header(scope, _PROVIDER)
            generation = Generation(self.gateway, caller, self.surface, request, forced, journal)
            if request.stream:
                await self._stream(generation, receive, send, journal, headers)
            else:
                await self._answer(generation, request, receive, send, journal, headers)
        except Fault as fault:
            journal.note_fault(fault)
            await self._refuse(fault, send, journal, headers)

    async def _answer(
        self,
        generation: Generation,
        request: GenerationRequest,
        receive: Receive,
        send: Send,
        journal: Journal,
        headers: Headers,
    ) -> None:
        async with Attendant(receive, self.watch):
            answer, bill = await generation.answer()
        journal.status = 200
        body = self.surface.render(request, answer, bill)
        await respond(send, 200, body, headers + _cap_header(generation))

    async def _stream(
        self, generation: Generation, receive: Receive, send: Send, journal: Journal, headers: Headers
    ) -> None:
        events = EventStream(send, self.gateway.clock.monotonic)
        async with Attendant(receive, self.watch, events):
            stream = await generation.start()
            journal.status = 200
            await events.begin(headers + _cap_header(generation))
            last = await stream.pump(events.push)
        await events.end(last)
        await stream.drain()

    async def _refuse(self, fault: Fault, send: Send, journal: Journal, headers: Headers) -> None:
        error = self.surface.render_error(fault)
        journal.status = error.status
        if error.retry_after is not None:
            headers = [*headers, (b"retry-after", b"%d" % error.retry_after)]
        await respond(send, error.status, error.body, headers)


def _cap_header(generation: Generation) -> Headers:
    cap = generation.output_cap
    return [] if cap is None else [(b"x-quantized-output-cap", b"%d" % cap)]
