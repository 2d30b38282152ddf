"""What is stored of a turn comes back as it went, every byte of it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from quantized.core import parts
from quantized.core.request import Message
from quantized.core.turns import StoredItem, Turn
from quantized.storage import turn_format as form
from quantized.storage.records import Rejected

names = st.text(max_size=8)
maybe = st.none() | names
raws = st.binary(max_size=30).map(Raw)
marks = st.none() | st.builds(parts.CacheMark, st.sampled_from([None, "5m", "1h"]))
seals = st.builds(parts.Seal, maybe, names, st.binary(max_size=300))
thoughts = st.builds(parts.Reasoning, maybe, st.lists(seals, max_size=3).map(tuple))
media: Any = st.one_of(
    st.builds(parts.Text, names, marks),
    st.builds(parts.Image, names, maybe, marks),
    st.builds(parts.Audio, names, names, marks),
    st.builds(parts.File, maybe, maybe, maybe, marks),
)
any_part: Any = st.one_of(
    media,
    thoughts,
    st.builds(parts.Refusal, names),
    st.builds(parts.AudioReference, names),
    st.builds(parts.ToolCall, names, names, names),
    st.builds(parts.ToolResult, names, st.lists(media, max_size=2).map(tuple)),
    st.builds(parts.Reference, names),
)
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
messages = st.lists(
    st.builds(Message, roles, st.lists(any_part, max_size=4).map(tuple), maybe), max_size=3
).map(tuple)
items = st.lists(st.builds(StoredItem, names, raws, messages, maybe), max_size=3).map(tuple)
turns = st.builds(
    Turn,
    id=names,
    previous=maybe,
    status=st.sampled_from(["completed", "incomplete", "failed"]),
    body=raws,
    input=items,
    output=items,
    messages=messages,
    thoughts=st.lists(thoughts, max_size=2).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(turn=turns)
def test_a_turn_comes_back_as_it_went(turn: Turn) -> None:
    answer = form.decode_answer(form.encode_answer(turn))
    back = Turn(
        id=turn.id,
        previous=turn.previous,
        status=answer.status,
        body=answer.body,
        input=form.decode_input(form.encode_input(turn)),
        output=answer.output,
        messages=form.decode_context(form.encode_context(turn)),
        thoughts=form.decode_reasoning(form.encode_reasoning(turn.thoughts)),
    )
    assert back == turn
    assert [bytes(item.json) for item in back.input] == [bytes(item.json) for item in turn.input]


def test_every_byte_of_a_seal_survives() -> None:
    sealed = (parts.Reasoning(None, (parts.Seal("demo", "signature", bytes(range(256)) * 300),)),)
    assert form.decode_reasoning(form.encode_reasoning(sealed)) == sealed


def test_what_cannot_be_written_is_rejected() -> None:
    with pytest.raises(Rejected):
        form.encode_reasoning((parts.Reasoning("half a pair: \ud800"),))
