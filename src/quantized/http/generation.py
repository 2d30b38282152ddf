"""The hot endpoints: one class for every surface. Raw ASGI, because a framework would cost as much again."""

from typing import Protocol

from msgspec import Struct

from quantized.auth.authenticate import Authenticator
from quantized.core.errors import Fault
from quantized.core.ports import Caller
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

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, journal: Journal, headers: Headers
    ) -> None:
        """`headers` go with every response. Raises ClientLeft; faults are answered."""
        journal.surface = self.reception.name
        dialogue: Dialogue | None = None
        try:
            # The credential is judged before a byte of the body is read.
            caller = await self.authenticator.authenticate(header(scope, b"authorization"))
            journal.license_id = caller.license_id
            journal.key_id = caller.key_id
            journal.user_id = caller.user_id
            body = await read_body(scope, receive, self.body_bytes, self.watch.body)
            dialogue = await self.reception.open(caller, body, journal)
            journal.model = dialogue.request.model
            journal.stream = dialogue.request.stream
            forced = header(scope, _PROVIDER)
            generation = Generation(self.gateway, caller, dialogue, forced, journal)
            if dialogue.request.stream:
                await self._stream(generation, receive, send, journal, headers)
            else:
                await self._answer(generation, receive, send, journal, headers)
        except Fault as fault:
            journal.note_fault(fault)
            await self._refuse(fault if dialogue is None else dialogue.located(fault), send, journal, headers)

    async def _answer(
        self, generation: Generation, receive: Receive, send: Send, journal: Journal, headers: Headers
    ) -> None:
        async with Attendant(receive, self.watch):
            body = await generation.answer()
        journal.status = 200
        await respond(send, 200, body, headers + _cap_header(generation))

    async def _stream(
        self, generation: Generation, receive: Receive, send: Send, journal: Journal, headers: Headers
    ) -> None:
        events = EventStream(send, self.gateway.clock.monotonic)
        async with Attendant(receive, self.watch, events):
            stream = await generation.start()
            journal.status = 200
            await events.begin(headers + _cap_header(generation))
            await events.end(await stream.pump(events.push))

    async def _refuse(self, fault: Fault, send: Send, journal: Journal, headers: Headers) -> None:
        error = self.reception.render_error(fault)
        journal.status = error.status
        if error.retry_after is not None:
            headers = [*headers, (b"retry-after", b"%d" % error.retry_after)]
        await respond(send, error.status, error.body, headers)


def _cap_header(generation: Generation) -> Headers:
    cap = generation.output_cap
    return [] if cap is None else [(b"x-quantized-output-cap", b"%d" % cap)]
