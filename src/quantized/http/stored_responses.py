"""Reading back, listing the input of, and deleting stored responses."""

from collections.abc import Awaitable, Callable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quantized.auth.authenticate import Authenticator
from quantized.core.errors import Fault
from quantized.core.ids import canonical_response_id
from quantized.core.ports import ConversationStore
from quantized.http.messages import JOURNAL
from quantized.surfaces.responses.errors import render_error
from quantized.surfaces.responses.openapi import PATH
from quantized.surfaces.responses.render import render
from quantized.surfaces.responses.stored import read_page, render_deleted, render_input_items


class StoredResponses(Struct, frozen=True):
    """Each licence sees its own, and no other."""

    authenticator: Authenticator
    store: ConversationStore

    def routes(self) -> list[Route]:
        one = f"{PATH}/{{id}}"
        return [
            Route(one, _told(self.get), methods=["GET"]),
            Route(one, _told(self.delete), methods=["DELETE"]),
            Route(f"{one}/input_items", _told(self.input_items), methods=["GET"]),
        ]

    async def get(self, request: Request) -> bytes:
        kept = await self.store.get(await self._license(request), request.path_params["id"])
        return render(kept.turn, kept.bill)

    async def delete(self, request: Request) -> bytes:
        response_id: str = request.path_params["id"]
        await self.store.delete(await self._license(request), response_id)
        return render_deleted(canonical_response_id(response_id))

    async def input_items(self, request: Request) -> bytes:
        license_id = await self._license(request)
        page = read_page(request.query_params)
        kept = await self.store.get(license_id, request.path_params["id"])
        return render_input_items(kept.turn, page)

    async def _license(self, request: Request) -> str:
        caller = await self.authenticator.authenticate(request.headers.get("authorization"))
        request.scope[JOURNAL].license_id = caller.license_id
        return caller.license_id


def _told(answer: Callable[[Request], Awaitable[bytes]]) -> Callable[[Request], Awaitable[Response]]:
    """The answer, or the fault as this surface tells it, as a response."""

    async def endpoint(request: Request) -> Response:
        try:
            return Response(await answer(request), media_type="application/json")
        except Fault as fault:
            request.scope[JOURNAL].note_fault(fault)
            error = render_error(fault)
            headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
            return Response(error.body, error.status, headers, "application/json")

    return endpoint
