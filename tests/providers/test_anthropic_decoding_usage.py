"""What a Messages answer counted, and what it cites."""

import json
from typing import Any

import pytest
from messages_frames import HELLO, TEXT, answer, end, failure, piece, start, taped, told
from taped import BODIES, MESSAGES, REQUEST, STREAMS

from quantized.core.fold import fold
from quantized.core.parts import OutputText
from quantized.core.usage import Bill, Usage
from quantized.surfaces.chat.surface import ChatSurface


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("plain", Usage(input=14, output=10)),
        ("thinking", Usage(input=44, output=22, reasoning=41)),
        ("cache_write_5m", Usage(input=21, cache_write=4096, output=12)),
        ("cache_write_1h", Usage(input=11, cache_write_1h=8192, output=8)),
        ("cache_read", Usage(input=34, cached_read=4096, cache_write=51, output=13)),
        ("cache_both_ttls", Usage(input=7, cached_read=100, cache_write=248, cache_write_1h=2000, output=9)),
        ("web_search", Usage(input=6039, output=312, web_searches=1)),
        (
            "web_search_thinking",
            Usage(input=11240, cached_read=1800, cache_write=2210, output=282, reasoning=120, web_searches=2),
        ),
    ],
)
def test_usage(name, usage):
    assert taped(f"anthropic_{name}").usage == usage


SPLIT = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}


@pytest.mark.parametrize(
    ("first", "last", "usage"),
    [
        # What is told again replaces, what is not told again stays.
        (
            {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1},
            {"output_tokens": 6},
            Usage(input=9, cached_read=4, output=6),
        ),
        (
            {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1},
            {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0},
            Usage(),
        ),
        # Writes that were not broken down are those of the common kind.
        (
            {"input_tokens": 9},
            {"cache_creation_input_tokens": 5, "output_tokens": 6},
            Usage(9, 0, 5, 0, 0, 6),
        ),
        # What was written later goes the way of what was written before.
        (
            {"input_tokens": 9, "cache_creation": {**SPLIT, "ephemeral_1h_input_tokens": 5}},
            {"cache_creation_input_tokens": 8, "output_tokens": 6},
            Usage(input=9, cache_write_1h=8, output=6),
        ),
        (
            {
                "input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 5},
            },
            {"cache_creation_input_tokens": 8, "output_tokens": 6},
            Usage(input=9, cache_write=3, cache_write_1h=5, output=6),
        ),
        (
            {"input_tokens": 9, "cache_creation": {**SPLIT, "ephemeral_5m_input_tokens": 2}},
            {"output_tokens": 6},
            Usage(input=9, cache_write=2, output=6),
        ),
        # More thinking than output is all of the output; less than nothing is nothing.
        (
            {"input_tokens": 9},
            {"output_tokens": 6, "output_tokens_details": {"thinking_tokens": 7}},
            Usage(input=9, reasoning=6),
        ),
        ({"input_tokens": 9}, {"output_tokens": -6, "cache_read_input_tokens": -1}, Usage(input=9)),
        # Half a report is none, and the output that a stream begins with is no report.
        ({"input_tokens": 9, "output_tokens": 1}, {"input_tokens": 9}, None),
        ({"output_tokens": 1}, {"output_tokens": 6}, None),
    ],
)
def test_usage_in_a_stream(first, last, usage):
    assert fold(told(start(**first), *HELLO, *end(**last))).usage == usage


def test_what_a_broken_stream_had_counted():
    cut = told(start(), *HELLO)
    assert failure(cut).usage is None, "the output was not counted, so all of it is estimated"
    counted = told(start(), *HELLO, end()[0])
    assert failure(counted).usage == Usage(input=7, output=5)


def test_missing_usage_is_not_made_up():
    frames = [start(), *HELLO, *end()]
    del frames[0]["message"]["usage"], frames[-2]["usage"]
    assert fold(told(*frames)).usage is None
    body = json.loads(BODIES["anthropic_plain"])
    del body["usage"]
    assert fold(MESSAGES.decode_body(REQUEST, json.dumps(body).encode())).usage is None


CITED = {
    "anthropic_web_search": [
        ("Claude Shannon was born on April 30, 1916, in Petoskey, Michigan", "Claude Shannon - Wikipedia"),
        ("Claude Shannon was born on April 30, 1916, in Petoskey, Michigan", ""),
        ("grew up in Gaylord — 42 km away", "Claude Shannon - Wikipedia"),
    ],
    "anthropic_web_search_thinking": [("828 metres", "Heights")],
    "anthropic_pdf_citations": [],
}


@pytest.mark.parametrize("name", CITED)
@pytest.mark.parametrize("streamed", [True, False])
def test_citations_are_where_their_words_are(name, streamed):
    """In the part that they belong to, and in the one text that a chat message is."""
    if streamed:
        events = [event for _, told in MESSAGES.decoder(REQUEST).feed(STREAMS[name]) for event in told]
    else:
        events = list(MESSAGES.decode_body(REQUEST, BODIES[name]))
    got = fold(events)
    in_parts = [
        _words(part.text, json.loads(annotation))
        for part in got.parts
        if isinstance(part, OutputText)
        for annotation in map(bytes, part.annotations)
    ]
    assert in_parts == CITED[name]
    rendered = json.loads(ChatSurface().render(REQUEST, got, Bill(Usage(), 1, 2)))
    message = rendered["choices"][0]["message"]
    assert [_words(message["content"], one) for one in message.get("annotations", [])] == CITED[name]


def _words(text: str, annotation: dict[str, Any]) -> tuple[str, str]:
    assert annotation["type"] == "url_citation"
    cited = annotation["url_citation"]
    assert cited.keys() == {"start_index", "end_index", "title", "url"}
    return text[cited["start_index"] : cited["end_index"]], cited["title"]


@pytest.mark.parametrize(
    "citation",
    [
        {"type": "search_result_location", "source": "internal-17", "title": "T"},
        {"type": "char_location", "document_index": 0, "start_char_index": 0, "end_char_index": 3},
        {"type": "web_search_result_location", "url": "javascript:alert(1)"},
        {"type": "web_search_result_location", "url": 7},
    ],
)
def test_what_cites_no_page_is_no_annotation(citation):
    assert answer(TEXT, piece(0, "citations_delta", citation=citation), *HELLO[1:]).parts == (
        OutputText("Hello"),
    )


def test_a_search_result_of_the_callers_own_is_a_page_where_it_has_an_address():
    citation = {"type": "search_result_location", "source": "https://a.example/x", "title": None}
    (text,) = answer(TEXT, piece(0, "citations_delta", citation=citation), *HELLO[1:]).parts
    assert isinstance(text, OutputText)
    assert json.loads(bytes(text.annotations[0]))["url_citation"]["url"] == "https://a.example/x"
