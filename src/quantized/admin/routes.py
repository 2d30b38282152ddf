"""`/admin/v1` as routes, made from the table of endpoints."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct, json
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from quantized.admin.errors import error_body, kind_of
from quantized.admin.openapi import description
from quantized.admin.pool import AdminPool
from quantized.admin.reading import Reading, refuse_query, wants_csv
from quantized.administration.actor import Actor
from quantized.administration.endpoints import ENDPOINTS, PREFIX
from quantized.administration.faults import InvalidAdminKey, Unfit
from quantized.administration.port import Administering, Repeat
from quantized.administration.records import Page, Record
from quantized.administration.tables import csv_lines, csv_records
from quantized.administration.verbs import Verb
from quantized.core.errors import BodyTooLarge, Fault, InvalidValue
from quantized.http.docs import browsable
from quantized.http.messages import JOURNAL

R = TypeVar("R")

DESCRIPTION = f"{PREFIX}/openapi.json"
IDEMPOTENCY = "idempotency-key"

_KEY_SECONDS = 1.8
_ACT_SECONDS = 20.0
"""For how long somebody waits for a key to be looked up, and for what the key then asks for: a report over
years takes a while."""
_BODY_BYTES = 1024 * 1024
_BODY_SECONDS = 30.0
_LONGEST_HEADER = 512
_ROWS_AT_ONCE = 1_000
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_PRIVATE = {"cache-control": "no-store"}


class AdminRoutes(Struct, frozen=True):
    """Each request is judged before a byte of its body is read."""

    pool: AdminPool[Administering]

    def routes(self) -> list[Route]:
        """By path: the methods of one path are one route, so that another method is told what there is."""
        ways: dict[str, dict[str, Reading]] = {}
        for endpoint in ENDPOINTS:
            ways.setdefault(PREFIX + endpoint.path, {})[endpoint.method] = Reading(endpoint)
        made = [
            Route(path, _told(partial(self._answer, by_method)), methods=list(by_method))
            for path, by_method in ways.items()
        ]
        return [*made, Route(DESCRIPTION, _description), *browsable("/docs/admin", DESCRIPTION)]

    async def _answer(self, by_method: dict[str, Reading], request: Request) -> Response:
        actor = await self._actor(request)
        reading = by_method["GET" if request.method == "HEAD" else request.method]
        query = request.query_params.multi_items()
        if reading.endpoint.method == "GET":
            as_csv = wants_csv(reading.endpoint, query)
            verb = reading.from_query(request.path_params, query)
            if as_csv:
                return await self._table(actor, verb)
            answer = await self._do(actor, verb, None)
            return Response(json.encode(answer), 200, _PRIVATE, "application/json")
        refuse_query(query)
        repeats: list[str] = []
        repeat = _repeat(request, repeats)
        verb = reading.from_body(request.path_params, await _body(request))
        answer = await self._do(actor, verb, repeat)
        headers = _PRIVATE | ({"idempotent-replayed": "true"} if repeats else {})
        return Response(json.encode(answer), reading.endpoint.status, headers, "application/json")

    async def _actor(self, request: Request) -> Actor:
        secret = _bearer(request.headers.get("authorization"))
        origin = request.client.host if request.client else "unknown"
        journal = request.scope[JOURNAL]
        actor = await self.pool.ask(lambda desk: desk.actor(secret, origin, journal.request_id), _KEY_SECONDS)
        journal.key_id = actor.id
        return actor

    async def _do(self, actor: Actor, verb: Verb[R], repeat: Repeat | None) -> R:
        def question(desk: Administering) -> R:
            return desk.do(actor, verb, repeat)

        return await self.pool.ask(question, _ACT_SECONDS)

    async def _table(self, actor: Actor, verb: Verb[Page[Record]]) -> Response:
        """All pages, one after another, each gone when the next one comes. The first is there before anything
        is answered."""
        paged = "cursor" in verb.__struct_fields__
        first = replace(verb, limit=_ROWS_AT_ONCE) if paged else verb
        page = await self._do(actor, first, None)
        headers = _PRIVATE | {"content-disposition": 'attachment; filename="usage.csv"'}
        return StreamingResponse(self._lines(actor, first, page), 200, headers, "text/csv; charset=utf-8")

    async def _lines(
        self, actor: Actor, verb: Verb[Page[Record]], page: Page[Record]
    ) -> AsyncIterator[bytes]:
        yield csv_lines([_columns(type(verb))])
        yield csv_records(page.data)
        while page.next_cursor is not None:
            page = await self._do(actor, replace(verb, cursor=page.next_cursor), None)
            yield csv_records(page.data)


def _columns(verb: type[Verb[Any]]) -> tuple[str, ...]:
    answer = next(endpoint.answer for endpoint in ENDPOINTS if endpoint.verb is verb)
    record: type[Record] = answer.__args__[0]
    return record.__struct_fields__


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise InvalidAdminKey(cause="no Authorization header")
    if len(authorization) > _LONGEST_HEADER:
        raise InvalidAdminKey(cause="the Authorization header is too long for a key")
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidAdminKey(cause="the Authorization header is not Bearer")
    return secret.strip(" ")


def _repeat(request: Request, repeats: list[str]) -> Repeat | None:
    key = request.headers.get(IDEMPOTENCY)
    if key is None:
        return None
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Unfit("Idempotency-Key", "1 to 255 printable characters without spaces are expected")
    return Repeat(key, lambda: repeats.append(key))


async def _body(request: Request) -> bytes:
    """Raises BodyTooLarge, InvalidValue."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > _BODY_BYTES:
                    raise BodyTooLarge(
                        f"The body has more than {_BODY_BYTES} bytes.", code="request_too_large"
                    )
    except TimeoutError as error:
        raise InvalidValue("The body did not arrive in time.", code="body_timeout") from error
    return body


async def _description(_request: Request) -> Response:
    return Response(description(), media_type="application/json")


def _told(
    answer: Callable[[Request], Awaitable[Response]],
) -> Callable[[Request], Awaitable[Response]]:
    """The answer, or the fault as an administrator is told it."""

    async def endpoint(request: Request) -> Response:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody reads it.
        except Fault as fault:
            request.scope[JOURNAL].note_fault(fault)
            kind = kind_of(fault)
            return Response(error_body(fault), kind.status, {**_PRIVATE, **kind.headers}, "application/json")

    return endpoint
