"""What Anthropic sealed comes back in its place, by whichever way the conversation went, or not at all."""

import json
from typing import Any

import pytest
from anthropic_requests import HELLO, SONNET, assistant, refusal, result, text, user
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from quantized.core.errors import InvalidValue
from quantized.core.fold import Answer, fold
from quantized.core.parts import AnyPart, OutputText, Reasoning, Refusal, Seal, Text, ToolCall
from quantized.core.request import Message
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.provider import Target

PROVIDER = AnthropicProvider(automatic_caching="off")
Blocks = list[dict[str, Any]]
CITED = {"type": "web_search_result_location", "url": "https://a.test", "title": None, "cited_text": "a"}


def turns(*messages: Message) -> list[dict[str, Any]]:
    """Signatures are nobody's here, so no server looks at them."""
    body = json.loads(PROVIDER.encode(replace(HELLO, messages=messages), Target(SONNET, 100)).body)
    found: list[dict[str, Any]] = body["messages"]
    return found


def signed(*written: str) -> Blocks:
    """An answer of blocks, by words: `T` thinking, `E` empty signed thinking, `R` redacted thinking, `C` a
    call, `W…` a text that cites the web, everything else a text."""
    blocks: Blocks = []
    for at, word in enumerate(written):
        match word:
            case "T":
                blocks.append({"type": "thinking", "thinking": f"thought {at}", "signature": f"c2lnbmVk{at}"})
            case "E":
                blocks.append({"type": "thinking", "thinking": "", "signature": f"c2lnbmVk{at}"})
            case "R":
                blocks.append({"type": "redacted_thinking", "data": f"c2VjcmV0{at}"})
            case "C":
                blocks.append({"type": "tool_use", "id": f"toolu_{at}", "name": "f", "input": {"n": at}})
            case _ if word.startswith("W"):
                blocks.append({**text(word), "citations": [{**CITED, "encrypted_index": f"aW5kZXg{at}"}]})
            case _:
                blocks.append(text(word))
    return blocks


def answer(blocks: Blocks) -> Answer:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": SONNET,
        "content": blocks,
        "stop_reason": "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return fold(PROVIDER.decode_body(HELLO, json.dumps(body).encode()))


def in_parts(blocks: Blocks) -> list[AnyPart]:
    """An answer as it is kept by items."""
    parts: list[AnyPart] = []
    for part in answer(blocks).parts:
        assert isinstance(part, OutputText | Reasoning | ToolCall)
        parts.append(Text(part.text) if isinstance(part, OutputText) else part)
    return parts


def kept(blocks: Blocks) -> list[Message]:
    return [assistant(*in_parts(blocks))]


def kept_apart(blocks: Blocks) -> list[Message]:
    """Each item a message of its own."""
    return [assistant(part) for part in in_parts(blocks)]


def chatted(blocks: Blocks) -> list[Message]:
    """As a chat message has it: the thoughts, then all text in one, then the calls."""
    parts = in_parts(blocks)
    seals = [seal for part in parts if isinstance(part, Reasoning) for seal in part.seals]
    said = "".join(part.text for part in parts if isinstance(part, Text))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return [
        assistant(*([Reasoning("…", tuple(seals))] if seals else []), *([Text(said)] if said else []), *calls)
    ]


def results(blocks: Blocks) -> list[Message]:
    calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
    return [result(call, "r") for call in calls] or [user("next")]


def replayed(messages: list[Message], after: list[Message]) -> Blocks:
    content: Blocks = turns(user("q"), *messages, *after)[1]["content"]
    return content


WAYS = pytest.mark.parametrize("way", [kept, kept_apart, chatted])
ANSWERS = [
    ("T", "a"),
    ("E", "a"),
    ("R", "T", "R", "a"),
    ("T", "a", "T", "C"),
    ("T", "T", "E", "a", "C", "C"),
    ("a", "T", "b", "E", "C"),
    ("T", "C", "T", "C"),
    ("T", "a ", "R", "b", "T", "c", "C"),
    ("T", "C", "a"),
    ("a", "C", "b", "C"),
    ("C", "a", "T", "C", "C", "b", "C"),
    ("W",),
    ("a", "W", "b", "W", "W"),
    ("T", "a", "W", "C", "C"),
    ("W", "C", "W", "b", "C", "T", "a", "W"),
]


@WAYS
@pytest.mark.parametrize("written", ANSWERS)
def test_blocks_come_back_in_their_places(way, written):
    blocks = signed(*written)
    assert replayed(way(blocks), results(blocks)) == blocks


@st.composite
def answers(draw: st.DrawFn) -> list[str]:
    said = st.sampled_from(["T", "E", "R", "C", "W", "W\U0001f642", "some text", "é ", "\U0001f642"])
    words = draw(st.lists(said, max_size=8))
    # What the API itself would say: no text right after a text, unless one cites; and no thought last.
    words = [
        word
        for at, word in enumerate(words)
        if at == 0 or word in "TERC" or words[at - 1] in "TERC" or "W" in word + words[at - 1]
    ]
    return [*words, draw(st.sampled_from(["Wend", "C"]))]


@settings(max_examples=100, deadline=None)
@given(written=answers(), way=st.sampled_from([kept, kept_apart, chatted]))
def test_any_answer_comes_back_as_it_was(written, way):
    blocks = signed(*written)
    assert replayed(way(blocks), results(blocks)) == blocks


def joined(blocks: Blocks) -> tuple[str, list[str]]:
    return (
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        [block["id"] for block in blocks if block["type"] == "tool_use"],
    )


def test_texts_that_citations_parted_are_parted_again():
    blocks = [text("a"), text("b"), *signed("T"), text("c")]
    for way in (kept, chatted):
        assert replayed(way(blocks), [user("next")]) == blocks


def test_the_blocks_of_a_search_come_back_whole():
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    blocks = [text("Let me see."), search, found, text("Nothing.")]
    for way in (kept, kept_apart, chatted):
        assert replayed(way(blocks), [user("next")]) == blocks


def edited(messages: list[Message], **texts: str) -> list[Message]:
    return [
        replace(
            message,
            parts=tuple(
                Text(texts.get(part.text, part.text)) if isinstance(part, Text) else part
                for part in message.parts
            ),
        )
        for message in messages
    ]


@WAYS
def test_a_turn_whose_text_was_changed_comes_back_without_its_thoughts(way):
    messages = way(signed("T", "a", "T", "C"))
    found = replayed(edited(messages, a="b"), [result("toolu_3", "r")])
    assert [block["type"] for block in found] == ["text", "tool_use"]


@WAYS
def test_a_text_that_was_changed_cites_nothing(way):
    messages = edited(way(signed("T", "a", "W", "b")), aWb="xyz", W="y")
    found = replayed(messages, [user("next")])
    assert all("citations" not in block for block in found)
    assert "y" in joined(found)[0]


def test_a_change_behind_the_last_block_leaves_that_one_where_it_is():
    blocks = signed("T", "C", "b")
    assert replayed(edited(chatted(blocks), b="x"), results(blocks)) == [blocks[0], text("x"), blocks[1]]


@WAYS
def test_a_turn_whose_calls_are_gone_comes_back_without_its_thoughts(way):
    messages = [
        replace(message, parts=tuple(part for part in message.parts if not isinstance(part, ToolCall)))
        for message in way(signed("T", "a", "C", "T", "b"))
    ]
    found = replayed([message for message in messages if message.parts], [user("next")])
    assert joined(found) == ("ab", [])
    assert all(block["type"] == "text" for block in found)


def test_thoughts_after_a_changed_turn_are_left_out_as_well():
    """They are bound to what stood before them."""
    first, second = chatted(signed("T", "a", "T", "b")), chatted(signed("T", "c"))
    found = turns(user("q"), *edited(first, ab="xy"), user("r"), *second, user("s"))
    assert [turn["content"] for turn in found[1::2]] == [[text("xy")], [text("c")]]


def test_text_after_the_last_thought_may_change():
    blocks = signed("T", "a")
    assert replayed(edited(chatted(blocks), a="b"), [user("next")]) == [blocks[0], text("b")]


def test_two_answers_in_a_row_stay_two():
    first, second = signed("T", "a"), signed("T", "b")
    assert replayed([*chatted(first), *chatted(second)], [user("next")]) == [*first, *second]


def test_what_came_before_a_thought_by_hand_stays_before_it():
    blocks = signed("T", "a")
    assert replayed([assistant("mine"), *chatted(blocks)], [user("next")]) == [text("mine"), *blocks]


def test_an_answer_that_broke_off_in_its_thoughts_leaves_nothing():
    found = turns(user("q"), *chatted(signed("T")), user("r"))
    assert found == [{"role": "user", "content": [text("q"), text("r")]}]


@pytest.mark.parametrize("maker", [None, "openrouter", "bedrock"])
def test_what_others_sealed_is_left_out_whole(maker):
    ((_, *parts),) = [message.parts for message in chatted(signed("T", "a"))]
    ours = Seal(maker, "reasoning_details", b'{"type":"reasoning.text","text":"x","signature":"y"}')
    assert replayed([assistant(Reasoning("x", (ours,)), *parts)], [user("r")]) == [text("a")]


def test_a_refusal_is_no_part_of_what_was_sealed():
    blocks = signed("T", "a", "T", "b")
    (message,) = chatted(blocks)
    refused = replace(message, parts=(*message.parts, Refusal("No.")))
    assert replayed([refused], [user("next")]) == [*blocks, text("No.")]


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b"nonsense",
        b'{"type":"reasoning.text","provider":"anthropic","index":0,"text":"a"}',
        b'{"type":"reasoning.encrypted","provider":"anthropic","index":0}',
        b'{"type":"reasoning.block","provider":"anthropic","index":0,"block":{"type":"image"}}',
        b'{"type":"reasoning.block","provider":"anthropic","index":0,"block":{"type":"document"}}',
        b'{"type":"reasoning.block","provider":"anthropic","index":0,'
        b'"block":{"type":"x","cache_control":{"type":"ephemeral"}}}',
        b'{"type":"reasoning.place","provider":"anthropic","index":0}',
        b'{"type":"reasoning.place","provider":"anthropic","index":0,'
        b'"before":[{"type":"text","length":1,"check":3904355907,"beside":{"cache_control":{}}}]}',
        b'{"type":"reasoning.place","provider":"anthropic","index":0,"before":[{"type":"text","length":1,'
        b'"check":3904355907,"beside":{"citations":[{"type":"char_location","cited_text":"a"}]}}]}',
    ],
)
def test_a_seal_that_was_tampered_with_is_refused(payload):
    forged = assistant(Reasoning(None, (Seal("anthropic", "reasoning_details", payload),)), "a")
    fault = refusal(replace(HELLO, messages=(user("q"), forged, user("r"))))
    assert isinstance(fault, InvalidValue)
    assert fault.param == "messages[1].reasoning_details"
