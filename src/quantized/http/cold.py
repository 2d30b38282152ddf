"""Everything that is not hot, on a web framework: models, licence, health, the API's description."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct, json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from quantized.auth.authenticate import Authenticator
from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Offer
from quantized.core.errors import Fault, ModelNotFound, Unauthenticated
from quantized.core.ports import Caller, LicenseStatus
from quantized.gateway.routing import PROVIDER_HEADER, asked
from quantized.http.docs import docs_routes
from quantized.http.messages import INTERNAL_ERROR, JOURNAL
from quantized.providers.registry import Registry
from quantized.surfaces.models import render_model, render_models
from quantized.surfaces.surface import ErrorAnswer


class ColdRooms(Struct, frozen=True):
    """What the cold endpoints need. `ready` says why the gateway is not, or None where it is."""

    authenticator: Authenticator
    catalog: Catalog
    registry: Registry
    read_license: Callable[[str, str | None], Awaitable[LicenseStatus | None]]
    ready: Callable[[], Awaitable[str | None]]
    render_error: Callable[[Fault], ErrorAnswer]
    openapi: bytes
    routes: Sequence[Route] = ()

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/ready", self.readiness),
                Route("/v1/models", self.models),
                Route("/v1/models/{model:path}", self.model),
                Route("/v1/license", self.license),
                Route("/openapi.json", self.description),
                *docs_routes(),
                *self.routes,
            ],
            exception_handlers={
                Fault: self._fault,
                HTTPException: self._http_exception,
                Exception: self._bug,
            },
        )

    async def health(self, _request: Request) -> Response:
        """The process answers."""
        return _json({"status": "ok"})

    async def readiness(self, _request: Request) -> Response:
        """The process can serve: the database answers and there are models to call."""
        reason = await self.ready()
        if reason is None:
            return _json({"status": "ready"})
        return _json({"status": "not ready", "reason": reason}, status=503)

    async def models(self, request: Request) -> Response:
        caller = await self.authenticator.authenticate(request.headers.get("authorization"))
        offers: dict[str, Offer] = {}
        for provider in self._providers(request, caller):
            for offer in self.catalog.offers(caller.terms, provider):
                # The first provider that would be asked for a model is the one whose rates count.
                offers.setdefault(offer.model.id, offer)
        return _bytes(render_models(tuple(offers.values())))

    async def model(self, request: Request) -> Response:
        caller = await self.authenticator.authenticate(request.headers.get("authorization"))
        name: str = request.path_params["model"]
        for provider in self._providers(request, caller):
            offer = self.catalog.find(provider, name, caller.terms)
            if offer is not None:
                return _bytes(render_model(offer))
        raise ModelNotFound(name)

    async def license(self, request: Request) -> Response:
        caller = await self.authenticator.authenticate(request.headers.get("authorization"))
        status = await self.read_license(caller.license_id, caller.user_id)
        if status is None:
            raise Unauthenticated(cause=f"licence {caller.license_id} is gone")
        return _bytes(json.encode(status))

    async def description(self, _request: Request) -> Response:
        return _bytes(self.openapi)

    def _providers(self, request: Request, caller: Caller) -> list[str]:
        rows = asked(self.registry, request.headers.get(PROVIDER_HEADER), caller.terms)
        return [row.provider.name for row in rows]

    async def _fault(self, request: Request, fault: Exception) -> Response:
        if not isinstance(fault, Fault):
            raise fault
        request.scope[JOURNAL].note_fault(fault)
        error = self.render_error(fault)
        headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
        return Response(error.body, error.status, headers, "application/json")

    async def _http_exception(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        what = f"{request.method} {request.url.path}"
        message = {
            404: f"{what} does not exist here; GET /docs shows what does",
            405: f"{what} is not possible; allowed: {(error.headers or {}).get('Allow', 'POST')}",
        }.get(error.status_code, error.detail)
        body = {"error": {"message": message, "type": "invalid_request_error", "code": None, "param": None}}
        return Response(json.encode(body), error.status_code, error.headers, "application/json")

    async def _bug(self, _request: Request, _error: Exception) -> Response:
        # The traceback is logged by the edge, which gets the exception as well.
        return Response(INTERNAL_ERROR, 500, media_type="application/json")


def _json(value: object, status: int = 200) -> Response:
    return Response(json.encode(value), status, media_type="application/json")


def _bytes(body: bytes) -> Response:
    return Response(body, media_type="application/json")
