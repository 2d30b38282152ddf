"""Whatever is asked, in whatever order: a body that the API takes, or a refusal that names a field."""

import json
from itertools import pairwise
from typing import Any

from anthropic_requests import HELLO, SONNET, taken
from anthropic_server_models import MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from request_strategies import CONVERSATIONS, MODES, ODD_CONVERSATIONS, WISHES, asking, conversations

from quantized.core.errors import InsufficientCredits, InvalidRequest
from quantized.core.request import GenerationRequest
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.caching import AutomaticCaching
from quantized.providers.provider import Target


def sent(request: GenerationRequest, model: str, cap: int | None, caching: AutomaticCaching) -> Any:
    """The body, which the API would take, or None where it was refused by name."""
    own = request.max_output_tokens
    cap = min(own, cap) if own is not None and cap is not None else cap
    provider = AnthropicProvider(automatic_caching=caching)
    try:
        call = provider.encode(request, Target(model, cap))
    except InsufficientCredits:
        assert cap is not None
        assert cap <= 1_024
        assert cap != own
        return None
    except InvalidRequest as fault:
        assert fault.param
        assert f"'{fault.param}'" in fault.message
        return None
    body = taken(call)
    assert body["max_tokens"] == (cap or own or MODELS[model].output)
    roles = [turn["role"] for turn in body["messages"]]
    assert roles[0] == "user"
    assert all(before != after for before, after in pairwise(roles))
    return body


caps = st.sampled_from([None, 1, 1_024, 1_025, 4_000])
models = st.sampled_from(list(MODELS))
modes = st.sampled_from(MODES)


@settings(max_examples=120, deadline=None)
@given(request=asking(**CONVERSATIONS), caching=modes)
def test_conversations(request, caching):
    sent(request, SONNET, None, caching)


@settings(max_examples=120, deadline=None)
@given(request=asking(**WISHES), model=models, cap=caps, caching=modes)
def test_wishes(request, model, cap, caching):
    sent(request, model, cap, caching)


@settings(max_examples=120, deadline=None)
@given(request=asking(**WISHES, **ODD_CONVERSATIONS), model=models, cap=caps, caching=modes)
def test_all_at_once(request, model, cap, caching):
    sent(request, model, cap, caching)


@settings(max_examples=60, deadline=None)
@given(groups=conversations, more=conversations)
def test_a_conversation_that_goes_on_begins_as_before(groups, more):
    """Or else nothing would ever be read from a cache, and no thought would fit behind it."""
    messages = tuple(message for group in groups for message in group)
    longer = (*messages, *(message for group in more for message in group if message.role not in SYSTEM))
    try:
        first, second = (turns(replace(HELLO, messages=said)) for said in (messages, longer))
    except InvalidRequest:
        return
    # The last turn may yet grow.
    assert second[: len(first) - 1] == first[:-1]


SYSTEM = ("system", "developer")


def turns(request: GenerationRequest) -> list[object]:
    body = json.loads(AnthropicProvider(automatic_caching="off").encode(request, Target(SONNET, 100)).body)
    found: list[object] = body["messages"]
    return found
