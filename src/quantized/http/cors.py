"""Which pages' scripts may call, told to their browsers."""

from msgspec import Struct
from starlette.middleware.cors import CORSMiddleware

from quantized.http.asgi import AsgiApp
from quantized.http.limit_headers import LIMIT_HEADERS
from quantized.http.messages import Headers

_EXPOSED = ["X-Request-Id", "X-Quantized-Output-Cap", "Retry-After", *LIMIT_HEADERS]


class Cors(Struct, frozen=True):
    """`origins` as browsers send them, or `*` for all."""

    origins: frozenset[str]

    def app(self, app: AsgiApp) -> AsgiApp:
        """`app`, whose preflight requests are answered here."""
        return CORSMiddleware(
            app,
            allow_origins=tuple(self.origins),
            allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
            # No cookie is read here, so no header of another origin's page can do harm; the SDKs send
            # their own.
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )

    def headers(self, origin: str | None) -> Headers:
        """What a response says that does not come from `app`. `origin`: the request's header of that name."""
        told: Headers = [(b"vary", b"Origin")]
        if origin is None:
            return told
        told.append((b"access-control-expose-headers", ", ".join(_EXPOSED).encode()))
        if "*" in self.origins:
            told.append((b"access-control-allow-origin", b"*"))
        elif origin in self.origins:
            told.append((b"access-control-allow-origin", origin.encode("latin-1")))
        return told
