"""Whatever is asked, in whatever order, of whatever family: a body that Converse takes, or a refusal that
names a field."""

import json
from typing import Any

from converse_oracle import check
from converse_requests import CLAUDE, HELLO, MODELS
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from request_strategies import CONVERSATIONS, MODES, ODD_CONVERSATIONS, WISHES, asking, conversations

from quantized.core.errors import InsufficientCredits, InvalidRequest
from quantized.core.request import GenerationRequest
from quantized.providers.bedrock.encode import encode_body
from quantized.providers.bedrock.families import family_of
from quantized.providers.caching import AutomaticCaching
from quantized.providers.provider import Target

KNOWN_WISHES = {name: wish for name, wish in WISHES.items() if name != "web_search"}
"""What there is something like."""

caps = st.sampled_from([1, 1_024, 1_025, 4_000, 200_000])
models = st.sampled_from(MODELS)
modes = st.sampled_from(MODES)


def sent(request: GenerationRequest, model: str, cap: int, caching: AutomaticCaching) -> Any:
    """The body, which the API would take, or None where it was refused by name."""
    own = request.max_output_tokens
    try:
        body = json.loads(
            encode_body(request, Target(model, min(cap, own or cap)), family_of(model), caching)
        )
    except InsufficientCredits:
        assert cap < (own or family_of(model).max_output_tokens or 0)
        return None
    except InvalidRequest as fault:
        assert fault.param
        assert f"'{fault.param}'" in fault.message
        return None
    check(body, model)
    told = body.get("inferenceConfig", {}).get("maxTokens")
    assert told is None or told <= cap
    return body


@settings(max_examples=120, deadline=None)
@given(request=asking(**CONVERSATIONS), model=models, caching=modes)
def test_conversations(request, model, caching):
    sent(request, model, 200_000, caching)


@settings(max_examples=150, deadline=None)
@given(request=asking(**KNOWN_WISHES), model=models, cap=caps, caching=modes)
def test_wishes(request, model, cap, caching):
    sent(request, model, cap, caching)


@settings(max_examples=150, deadline=None)
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
    found: list[object] = json.loads(encode_body(request, Target(CLAUDE, 100), family_of(CLAUDE), "off"))[
        "messages"
    ]
    return found
