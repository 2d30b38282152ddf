"""AWS Bedrock, by Converse and ConverseStream."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from quantized.core.errors import Fault
from quantized.core.events import Event
from quantized.core.request import GenerationRequest
from quantized.providers.bedrock.decode import StreamDecoder, decode_body
from quantized.providers.bedrock.encode import encode_body
from quantized.providers.bedrock.endpoint import converse_url, runtime_url
from quantized.providers.bedrock.errors import fault_of_status
from quantized.providers.bedrock.families import Family, family_of
from quantized.providers.bedrock.models import native_id
from quantized.providers.bedrock.seals import MAKER as NAME
from quantized.providers.bedrock.signing import Authorizer
from quantized.providers.bedrock.tools import tells_of_past_tools, tells_of_tools
from quantized.providers.bedrock.uncalled import Uncalled, uncalled
from quantized.providers.bedrock.whole import WholeDecoder
from quantized.providers.caching import AutomaticCaching
from quantized.providers.provider import Capabilities, Decoder, Target, UpstreamCall

LANGUAGE = "bedrock_converse"

_JSON = "application/json"
_EVENTS = "application/vnd.amazon.eventstream"


class BedrockProvider:
    """`endpoint` stands in place of the region's own. `automatic_caching`: which requests are marked for the
    cache beyond what the caller marked. `answer_bytes` bounds an answer that comes whole where a stream was
    asked for. `geography`: whose inference profiles public names mean. `profiles`: ARNs that do not say which
    model they are, and the name of the one behind each."""

    def __init__(
        self,
        region: str,
        authorizer: Authorizer,
        *,
        endpoint: str | None = None,
        automatic_caching: AutomaticCaching = "continued",
        answer_bytes: int = 64 * 1024 * 1024,
        geography: str | None = None,
        profiles: Mapping[str, str] | None = None,
    ) -> None:
        self._region = region
        self._geography = geography
        self._behind = {
            arn: native_id(model, region, geography) or model for arn, model in (profiles or {}).items()
        }
        self._base = runtime_url(region, endpoint)
        self._authorizer = authorizer
        self._caching: AutomaticCaching = automatic_caching
        self._answer_bytes = answer_bytes

    @property
    def name(self) -> str:
        return NAME

    @property
    def capabilities(self) -> Capabilities:
        # Converse needs no cap, but a model's default may be far from the one that a hold is priced with.
        return Capabilities(language=LANGUAGE, cap_required=True, fetches_images=False)

    def encode(self, request: GenerationRequest, target: Target) -> UpstreamCall:
        family = self._family(target.model)
        stream = _streams(request, family)
        headers = (("content-type", _JSON), ("accept", _EVENTS if stream else _JSON))
        url = converse_url(self._base, target.model, stream=stream)
        return UpstreamCall(url, headers, encode_body(request, target, family, self._caching))

    def authorize(self, call: UpstreamCall, now: datetime) -> UpstreamCall:
        return self._authorizer.authorize(call, now)

    def decoder(self, request: GenerationRequest) -> Decoder:
        family = self._family(request.model)
        decoder: Decoder
        if _streams(request, family):
            decoder = StreamDecoder(NAME, request.model, family.name)
        else:
            decoder = WholeDecoder(NAME, request.model, family.name, self._answer_bytes)
        return Uncalled(decoder) if tells_of_past_tools(request) else decoder

    def decode_body(self, request: GenerationRequest, body: bytes) -> Sequence[Event]:
        events = decode_body(NAME, request.model, self._family(request.model).name, body)
        return uncalled(events) if tells_of_past_tools(request) else events

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        return fault_of_status(NAME, status, headers, body)

    def _family(self, model: str) -> Family:
        """That of a model, which may go by its public name."""
        native = native_id(model, self._region, self._geography) or model
        return family_of(self._behind.get(native, native))


def _streams(request: GenerationRequest, family: Family) -> bool:
    """Whether Bedrock is asked for a stream. Many models answer with tools in one piece only."""
    return request.stream and (family.streams_tools or not tells_of_tools(request))
