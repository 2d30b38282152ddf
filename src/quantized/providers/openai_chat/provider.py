"""Any server of the Chat Completions language, as a provider."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from msgspec.structs import replace

from quantized.core.errors import Fault
from quantized.core.events import Event
from quantized.core.request import GenerationRequest
from quantized.providers.openai_chat.decode import StreamDecoder, decode_body
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.encode import encode_body
from quantized.providers.openai_chat.errors import fault_of_status
from quantized.providers.provider import Capabilities, Decoder, Target, UpstreamCall

LANGUAGE = "openai_chat"


class OpenAIChatProvider:
    """`base_url` is what comes before `/chat/completions`; it may have a path and a query. Raises ValueError
    where it is no http(s) URL."""

    def __init__(
        self, name: str, base_url: str, api_key: str | None = None, dialect: Dialect | None = None
    ) -> None:
        self._name = name
        self._dialect = dialect or Dialect()
        self._url = _endpoint(base_url)
        self._authorization = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self._capabilities = Capabilities(
            language=LANGUAGE,
            cap_required=self._dialect.cap_required,
            # The plugin searches before the model is asked; where models search, it is for them to decide.
            searches_certain=1 if self._dialect.web_search == "plugin" else 0,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def encode(self, request: GenerationRequest, target: Target) -> UpstreamCall:
        headers = (
            ("content-type", "application/json"),
            ("accept", "text/event-stream" if request.stream else "application/json"),
            *self._dialect.headers,
        )
        return UpstreamCall(self._url, headers, encode_body(self._name, self._dialect, request, target))

    def authorize(self, call: UpstreamCall, now: datetime) -> UpstreamCall:  # noqa: ARG002 (keys do not age)
        return replace(call, headers=call.headers + self._authorization)

    def decoder(self, request: GenerationRequest) -> Decoder:
        return StreamDecoder(
            self._name,
            request.model,
            searches=self._searches(request),
            output_cap=request.max_output_tokens,
        )

    def decode_body(self, request: GenerationRequest, body: bytes) -> Sequence[Event]:
        return decode_body(
            self._name,
            request.model,
            body,
            searches=self._searches(request),
            output_cap=request.max_output_tokens,
        )

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return fault_of_status(self._name, status, headers, body)

    def _searches(self, request: GenerationRequest) -> int:
        """Searches that were made for certain, should the server not count them."""
        return 0 if request.web_search is None else self._capabilities.searches_certain


def _endpoint(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise ValueError(f"not an http(s) URL: {base_url!r}")
    path = parts.path.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
