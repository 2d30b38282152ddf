"""What a caller is told who asks for more than a licence allows, in the words of the caller's own request."""

import json

import pytest

from quantized.core.errors import AboveLimit
from quantized.core.limits import Limits
from quantized.gateway.limiting import imposed_cap, tokens_taken
from quantized.surfaces.chat.parse import parse


def refusal(limits: Limits, output_cap: int, text: str = "hi", **fields: int) -> AboveLimit:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    request = parse(json.dumps(body).encode(), 64)
    with pytest.raises(AboveLimit) as refused:
        imposed_cap(request, output_cap, limits)
        tokens_taken(request, output_cap, limits)
    return refused.value


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_field_that_was_written_is_named(field: str):
    fault = refusal(Limits(output_tokens_per_request=100), 101, **{field: 101})
    assert (fault.param, f"'{field}' is 101" in str(fault)) == (field, True)
    fault = refusal(Limits(tokens_per_minute=300), 301, **{field: 301})
    assert (fault.param, f"Lower '{field}' to " in str(fault)) == (field, True)


def test_whoever_gave_no_cap_is_not_told_to_lower_it():
    fault = refusal(Limits(tokens_per_minute=300, output_tokens_per_request=400), 400)
    assert "Give 'max_completion_tokens', at most 2" in str(fault)
    fault = refusal(Limits(tokens_per_minute=300), 4_000, text="x" * 2_000)
    assert (fault.param, str(fault).endswith(". Shorten the input")) == ("messages", True)
    # A lower cap would not help either.
    fault = refusal(Limits(tokens_per_minute=300), 10, text="x" * 2_000, max_tokens=10)
    assert (fault.param, str(fault).endswith(". Shorten the input")) == ("messages", True)
