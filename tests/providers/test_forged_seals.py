"""Seals that a caller wrote: whatever is in them, a request or a refusal that names them comes of it, in time
that grows only with what there is to read."""

import json
from time import process_time
from typing import Any
from zlib import crc32

import pytest
from anthropic_requests import HELLO, SONNET, assistant, called, result, user
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quantized.core.errors import InvalidRequest
from quantized.core.parts import Reasoning, Seal
from quantized.core.request import Message
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.bedrock.provider import BedrockProvider
from quantized.providers.bedrock.signing import BearerToken
from quantized.providers.provider import Provider, Target

LANGUAGES: list[tuple[Provider, Target]] = [
    (AnthropicProvider(), Target(SONNET, 4_000)),
    (
        BedrockProvider("us-east-1", BearerToken("key")),
        Target("anthropic.claude-sonnet-4-5-20250929-v1:0", 4_000),
    ),
]
BOTH = pytest.mark.parametrize("language", LANGUAGES, ids=["anthropic", "bedrock"])
Language = tuple[Provider, Target]


def sealed(language: Language, *payloads: Any) -> Reasoning:
    name = language[0].name
    return Reasoning(
        None, tuple(Seal(name, "reasoning_details", json.dumps(one).encode()) for one in payloads)
    )


def sent(language: Language, *messages: Message) -> Any:
    provider, target = language
    return json.loads(provider.encode(replace(HELLO, messages=messages), target).body)


def thought(language: Language, **fields: Any) -> dict[str, Any]:
    return {
        "type": "reasoning.text",
        "provider": language[0].name,
        "family": "anthropic",
        "index": 1,
        "text": "x",
        "signature": "y",
        **fields,
    }


def near(said: str) -> dict[str, Any]:
    return {"type": "text", "length": len(said), "check": crc32(said.encode())}


@BOTH
@pytest.mark.parametrize("length", [-1, 0, -(10**30), 0.5, "1", None, True])
def test_a_text_of_no_length_is_nothing_that_was_minted(language, length):
    forged = thought(language, before=[{"type": "text", "length": length, "check": 0}])
    with pytest.raises(InvalidRequest) as refused:
        sent(language, user("hi"), assistant(sealed(language, forged), "abc"), user("go"))
    assert refused.value.param == "messages[1].reasoning_details"


@BOTH
@pytest.mark.parametrize("length", [1, 2, 4, 10**30])
def test_a_text_of_another_length_has_lost_its_thought(language, length):
    forged = thought(language, before=[{"type": "text", "length": length, "check": crc32(b"a") + 1}])
    body = sent(language, user("hi"), assistant(sealed(language, forged), "abc"), user("go"))
    assert [list(block) for block in body["messages"][1]["content"]] in ([["text"]], [["type", "text"]])


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "cache_control", "cachePoint", "a"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
SAID = "abc def"
pieces = st.builds(lambda begin, end: SAID[begin:end], st.integers(0, 7), st.integers(0, 7))
neighbours = st.one_of(
    anything,
    pieces.map(near),
    st.builds(lambda length, check: {"type": "text", "length": length, "check": check}, scalars, scalars),
    st.builds(lambda said, beside: {**near(said), "beside": beside}, pieces, anything),
    st.builds(lambda call: {"type": "tool_use", "id": call}, st.sampled_from(["c1", "c2", ""])),
)
payloads = st.one_of(
    anything,
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(
                ["reasoning.text", "reasoning.encrypted", "reasoning.block", "reasoning.place", "x"]
            ),
            "index": st.one_of(st.integers(-1, 4), anything),
        },
        optional={
            "provider": st.sampled_from(["anthropic", "bedrock", "x"]),
            "family": st.sampled_from(["anthropic", "nova", ""]),
            "model": anything,
            "text": st.one_of(st.text(), anything),
            "signature": st.one_of(st.text(), anything),
            "data": st.one_of(st.sampled_from(["AAAA", "?"]), anything),
            "block": st.one_of(
                anything, st.dictionaries(st.sampled_from(["type", "source", "reasoningContent"]), anything)
            ),
            "before": st.one_of(st.lists(neighbours, max_size=4), anything),
        },
    ),
)


@BOTH
@settings(max_examples=300, deadline=None)
@given(forged=st.lists(payloads, max_size=3), texts=st.lists(pieces, max_size=3), calls=st.booleans())
def test_whatever_is_forged_is_sent_or_refused(language, forged, texts, calls):
    made = called("c1", "c2").parts if calls else ()
    answers = [result("c1", "r"), result("c2", "r")] if calls else [user("go")]
    said = assistant(sealed(language, *forged), *texts, *made)
    try:
        body = sent(language, user("hi"), said, *answers)
    except InvalidRequest as fault:
        assert fault.param == "messages[1].reasoning_details"
        return
    written = json.dumps(body)
    assert '"cache_control": {' not in written
    assert "cachePoint" not in written
    spoken = [block for turn in body["messages"] if turn["role"] == "assistant" for block in turn["content"]]
    # A text of nothing but white space may be left out.
    found = "".join(block["text"] for block in spoken if isinstance(block.get("text"), str))
    assert found.replace(" ", "") == "".join(texts).replace(" ", "")


@BOTH
@pytest.mark.parametrize("raw", [b"", b"\xff", b'"\\ud800"', b"[" * 100_000, b'{"a":' * 100_000, b"1e999"])
def test_what_is_no_json_is_refused(language, raw):
    forged = Reasoning(None, (Seal(language[0].name, "reasoning_details", raw),))
    with pytest.raises(InvalidRequest) as refused:
        sent(language, user("hi"), assistant(forged, "abc"), user("go"))
    assert refused.value.param == "messages[1].reasoning_details"


@BOTH
def test_what_is_nested_deeper_than_any_block_is_refused(language):
    nested: Any = {}
    for _ in range(300):
        nested = {"a": [nested]}
    forged = thought(language, type="reasoning.block", block={"type": "x"}) | {"block": {"type": nested}}
    with pytest.raises(InvalidRequest):
        sent(language, user("hi"), assistant(sealed(language, forged), "abc"), user("go"))


@pytest.mark.parametrize(
    "inside",
    [
        {"type": "document", "source": {"type": "text", "data": "x"}, "cache_control": {"ttl": "1h"}},
        {"type": "document", "source": {"type": "url", "url": "https://h.test/a.pdf"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    ],
)
def test_nothing_dearer_than_its_bytes_hides_in_a_block(inside):
    language = LANGUAGES[0]
    page = {"type": "web_fetch_result", "url": "https://h.test", "content": inside}
    block = {"type": "web_fetch_tool_result", "tool_use_id": "s", "content": [page]}
    forged = {"type": "reasoning.block", "provider": "anthropic", "index": 0, "block": block}
    with pytest.raises(InvalidRequest) as refused:
        sent(language, user("hi"), assistant(sealed(language, forged), "abc"), user("go"))
    assert refused.value.param == "messages[1].reasoning_details"


def test_no_cache_point_hides_in_a_block():
    language = LANGUAGES[1]
    block = {"futureContent": [{"cachePoint": {"type": "default", "ttl": "1h"}}]}
    forged = thought(language, type="reasoning.block", block=block)
    with pytest.raises(InvalidRequest):
        sent(language, user("hi"), assistant(sealed(language, forged), "abc"), user("go"))


def spent(language: Language, *messages: Message) -> float:
    begin = process_time()
    sent(language, *messages)
    return process_time() - begin


@BOTH
def test_the_time_to_read_places_grows_with_what_is_read(language):
    """Sixteen times as much takes no more than a good deal of sixteen times as long; were each place to cost
    all of the text, it would be 256 times. Every form in which an answer may come is tried."""

    def takes(places: int) -> float:
        word = "x" * 100
        seal = sealed(language, thought(language, index=places + 1, before=[near(word)] * places))
        joined = assistant(seal, word * places)
        apart = assistant(*[word] * places, seal, "end")
        spread = [assistant(word) for _ in range(places)]
        lost = assistant(seal, word * places + "y")
        ways = [[joined], [apart], [*spread, assistant(seal, "end")], [lost, user("more"), joined]]
        return sum(spent(language, user("hi"), *way, user("go")) for way in ways)

    takes(100)
    small = min(takes(500) for _ in range(5))
    assert any(takes(8_000) < 80 * small for _ in range(3))
