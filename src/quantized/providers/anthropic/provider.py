"""Anthropic, by its Messages API."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from msgspec.structs import replace

from quantized.core.errors import Fault
from quantized.core.events import Event
from quantized.core.request import GenerationRequest
from quantized.providers.anthropic.decode import StreamDecoder, decode_body
from quantized.providers.anthropic.encode import BINDING_BETA, encode_body
from quantized.providers.anthropic.errors import fault_of_status
from quantized.providers.anthropic.models import known
from quantized.providers.anthropic.seals import MAKER as NAME
from quantized.providers.caching import AutomaticCaching
from quantized.providers.provider import Capabilities, Decoder, Target, UpstreamCall

BASE_URL = "https://api.anthropic.com"
LANGUAGE = "anthropic_messages"

_VERSION = ("anthropic-version", "2023-06-01")


class AnthropicProvider:
    """`base_url` is what comes before `/v1/messages`; a `/v1` too many does no harm. `automatic_caching`:
    which requests are marked for the cache beyond what the caller marked. `web_searches`: the most that one
    request may make. Raises ValueError where the URL is no http(s) URL."""

    def __init__(
        self,
        base_url: str = BASE_URL,
        api_key: str | None = None,
        *,
        automatic_caching: AutomaticCaching = "continued",
        web_searches: int = 1,
    ) -> None:
        self._url = _endpoint(base_url)
        self._key = (("x-api-key", api_key),) if api_key else ()
        self._caching: AutomaticCaching = automatic_caching
        self._searches = web_searches

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            language=LANGUAGE,
            cap_required=True,
            searches_per_request=self._searches,
            searches_read_again=True,
        )

    def encode(self, request: GenerationRequest, target: Target) -> UpstreamCall:
        headers = (
            ("content-type", "application/json"),
            ("accept", "text/event-stream" if request.stream else "application/json"),
            _VERSION,
            *([BINDING_BETA] if known(target.model).bound else ()),
        )
        return UpstreamCall(self._url, headers, encode_body(request, target, self._caching, self._searches))

    def authorize(self, call: UpstreamCall, now: datetime) -> UpstreamCall:  # noqa: ARG002 (keys do not age)
        return replace(call, headers=call.headers + self._key)

    def decoder(self, request: GenerationRequest) -> Decoder:
        return StreamDecoder(NAME, request.model)

    def decode_body(self, request: GenerationRequest, body: bytes) -> Sequence[Event]:
        return decode_body(NAME, request.model, body)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return fault_of_status(NAME, status, headers, body)


def _endpoint(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(f"not an http(s) URL: {base_url!r}")
    path = parts.path.rstrip("/").removesuffix("/messages").removesuffix("/v1") + "/v1/messages"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
