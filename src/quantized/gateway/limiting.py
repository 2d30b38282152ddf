"""What a licence's limits say of one request before it is let in."""

from quantized.catalog.bounds import estimate_input
from quantized.core.errors import AboveLimit
from quantized.core.limits import Limits
from quantized.core.request import GenerationRequest

USUAL_OUTPUT = 1_024
"""Tokens of output that a request takes of a limit by the minute where nobody bounds it; what it used beyond
that is taken when it is known. The most that models may write would keep everybody else out for an answer of
two lines."""


def imposed_cap(request: GenerationRequest, possible: int, limits: Limits) -> int | None:
    """The licence's cap on the output, where the caller gave none and `possible` tokens are more than that.

    Raises AboveLimit for a caller's own cap that is: to lower it in silence would cut the answer of somebody
    who said how long it has to be.
    """
    most = limits.output_tokens_per_request
    if most is None:
        return None
    asked = request.max_output_tokens
    if asked is not None and asked > most:
        raise AboveLimit(
            f"'{request.output_cap_field}' is {asked}, and this licence allows at most {most} output tokens "
            "for a request",
            param=request.output_cap_field,
            code="output_tokens_above_limit",
        )
    return most if asked is None and possible > most else None


def tokens_taken(request: GenerationRequest, output_cap: int, limits: Limits) -> int:
    """What the request takes of the tokens by the minute: about its input, and its output as far as it is
    bounded by the caller or the licence.

    Raises AboveLimit for more than there is in a whole minute, which would never be let in.
    """
    limit = limits.tokens_per_minute
    if limit is None:
        return 0
    taken = read = max(1, estimate_input(request))
    bounded = request.max_output_tokens is not None or limits.output_tokens_per_request is not None
    if bounded:
        taken += output_cap
    if taken > limit:
        raise _above_a_minute(request, taken, limit, room=limit - read)
    return taken if bounded else min(taken + min(output_cap, USUAL_OUTPUT), limit)


def _above_a_minute(request: GenerationRequest, taken: int, limit: int, room: int) -> AboveLimit:
    """`room` is what the input leaves for the output."""
    field = request.output_cap_field
    if room <= 0:
        advice, param = "Shorten the input", "messages"
    elif request.max_output_tokens is None:
        # The licence bounds the output, and the caller may bound it closer.
        advice, param = f"Give '{field}', at most {room}, or shorten the input", field
    else:
        advice, param = f"Lower '{field}' to {room} or less, or shorten the input", field
    return AboveLimit(
        f"This request may take {taken} tokens, and this licence allows {limit} tokens per minute. {advice}",
        param=param,
        code="request_above_tokens_per_minute",
    )
