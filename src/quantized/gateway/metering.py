"""From a request to the credits it may cost, and from an answer to the credits it did cost."""

from msgspec import Struct
from msgspec.structs import replace

from quantized.catalog.bounds import estimate_input, estimate_output, input_bound
from quantized.catalog.model import Model, Offer, Rates, Tier
from quantized.catalog.pricing import affordable_output, worst_cases
from quantized.core.errors import UnsupportedParameter
from quantized.core.events import (
    ArgumentsDelta,
    AudioDelta,
    Event,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    TextDelta,
)
from quantized.core.limits import NO_LIMITS, Limits
from quantized.core.parts import Audio, File, Image, Text, ToolResult
from quantized.core.request import GenerationRequest, Tool
from quantized.core.usage import Usage
from quantized.gateway.limiting import imposed_cap, tokens_taken
from quantized.providers.provider import Capabilities

_UNBOUNDED_OUTPUT = 131_072
"""Tokens assumed where neither the caller nor the catalogue bounds the output of a model: the largest output
limit that providers publish for common models. What exceeds it would be an overrun, and recorded as one."""


_MARKABLE = (Text, Image, Audio, File, Tool)

_BYTES_OF_MEDIA = 16
"""Base64 characters of sound or picture that weigh as one character of text in an estimate."""


class Quote(Struct, frozen=True):
    """The worst case in micro-credits (`wanted`), the least with which one output token can be had
    (`minimum`), and the rates, tokens and searches that both were computed from; of the searches,
    `certain_searches` happen whatever the model does. `imposed_cap` is the output cap of a caller who gave
    none, where the licence has one. `tokens` is what the request takes of a limit on tokens until it is known
    what it used."""

    offer: Offer
    rates: Rates
    input_bound: int
    output_cap: int
    searches: int
    certain_searches: int
    wanted: int
    minimum: int
    imposed_cap: int | None
    tokens: int

    def lowered_cap(self, granted: int) -> int | None:
        """The output cap that `granted` micro-credits pay for, or None where they pay for all of it."""
        if granted >= self.wanted:
            return None
        return min(
            self.output_cap,
            affordable_output(self.rates, self.input_bound, granted, self.searches),
        )


def quote(
    request: GenerationRequest, offer: Offer, provider: Capabilities, limits: Limits = NO_LIMITS
) -> Quote:
    """Raises UnsupportedParameter for a web search that has no price, AboveLimit."""
    searches = 0
    if request.web_search is not None:
        if offer.rates.web_search is None:
            raise UnsupportedParameter(
                f"'web_search_options' is not available: the price of a web search with model "
                f"'{request.model}' is not known here",
                param="web_search_options",
            )
        searches = provider.searches_per_request
    bound = input_bound(request, offer.model, searches if provider.searches_read_again else 0)
    cap = _output_cap(request, offer.model)
    imposed = imposed_cap(request, cap, limits)
    if imposed is not None:
        cap = imposed
    rates = _possible(request, offer.rates)
    wanted, minimum = worst_cases(rates, bound, cap, searches)
    return Quote(
        offer=offer,
        rates=rates,
        input_bound=bound,
        output_cap=cap,
        searches=searches,
        certain_searches=min(searches, provider.searches_certain),
        wanted=wanted,
        minimum=minimum,
        imposed_cap=imposed,
        tokens=tokens_taken(request, cap, limits),
    )


def _possible(request: GenerationRequest, rates: Rates) -> Rates:
    """The rates that a request can come to. A cache keeps for an hour only what it is asked to, and where
    that has a price of its own, no input is dearer."""
    if rates.cache_write_1h <= rates.cache_write or _asks_for_an_hour(request):
        return rates
    tiers = [Tier(tier.from_input, _without_an_hour(tier.rates)) for tier in rates.tiers]
    return replace(_without_an_hour(rates), tiers=tuple(tiers))


def _without_an_hour(rates: Rates) -> Rates:
    return replace(rates, cache_write_1h=rates.cache_write)


def _asks_for_an_hour(request: GenerationRequest) -> bool:
    parts = [part for message in request.messages for part in message.parts]
    results = [inner for part in parts if isinstance(part, ToolResult) for inner in part.parts]
    marked = [one for one in (*parts, *results, *(request.tools or ())) if isinstance(one, _MARKABLE)]
    return any(one.cache is not None and one.cache.ttl == "1h" for one in marked)


def _output_cap(request: GenerationRequest, model: Model) -> int:
    """What is sent is what is priced: a caller's cap counts as it is, even beyond the limit that the
    catalogue knows, which may be that of one server among several. No output is longer than the window."""
    if request.max_output_tokens is None:
        return model.max_output_tokens or model.context_window or _UNBOUNDED_OUTPUT
    return min(request.max_output_tokens, model.context_window or request.max_output_tokens)


class Meter:
    """Counts what an answer has brought so far, for the case that its provider never says."""

    __slots__ = ("_sealed", "size")

    def __init__(self) -> None:
        self.size = 0
        """Bytes of text, or what weighs as much. Who knows what came without its events may add to it."""
        self._sealed = False

    @property
    def anything(self) -> bool:
        """Whether something was produced, be it only what nobody here can read."""
        return self._sealed or self.size > 0

    @property
    def tokens(self) -> int:
        return estimate_output(self.size)

    def note(self, event: Event) -> None:
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta() | ArgumentsDelta():
                text = event.text
                self.size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            case PartStarted():
                # A tool's name is output as well, and an image is nothing but its URL.
                self.size += len(event.name or "") + len(event.url or "") // _BYTES_OF_MEDIA
            case AudioDelta():
                self.size += len(event.transcript) + len(event.data) // _BYTES_OF_MEDIA
            case Sealed():
                # Its readable part is told beside it, and how long the rest would be nobody knows.
                self._sealed = True


def measured(
    request: GenerationRequest,
    quote: Quote,
    meter: Meter,
    reported: Usage | None,
    counted_input: Usage | None = None,
) -> tuple[Usage, bool]:
    """What is charged, and whether it is an estimate. A provider's report wins, even when it says zero, also
    one of the input alone; an estimate never exceeds what was quoted. Of web searches it has those that were
    certain: one that a model may have made, or not, is nobody's to charge."""
    if reported is not None:
        return reported, False
    known = counted_input or Usage(
        input=min(estimate_input(request), quote.input_bound), web_searches=quote.certain_searches
    )
    return replace(known, output=min(meter.tokens, quote.output_cap)), True
