"""Who waits for the database: nobody is forgotten, overtaken or told twice, whatever fails."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_world import order

from quantized.ledger.line import BATCH_BYTES, Line, Said
from quantized.ledger.verbs import Release, Verb

MOST = 8

weights = st.sampled_from([0, 0, 0, BATCH_BYTES // 2, BATCH_BYTES * 2])
acts = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 5), weights),
        st.tuples(
            st.just("take"),
            st.sampled_from(["written", "failed", "unreached", "held up", "some held up"]),
            st.sampled_from([0.01, 0.2, 6.0]),
        ),
    ),
    max_size=80,
)


def said(hold: int, weight: int) -> Said:
    verb: Verb = Release(f"h{hold}", "") if weight else order("l", 1, hold_id=f"h{hold}")
    answer: Any = asyncio.Future
    one = Said(verb, answer, 0.0)
    one.weight = weight
    return one


@given(acts)
def test_each_is_taken_once_and_in_the_order_of_its_hold(acts: list[tuple[str, Any, Any]]) -> None:
    line, now = Line(MOST), 0.0
    waiting: list[Said] = []
    done: list[Said] = []

    def bring_home(batch: list[Said]) -> None:
        for one in batch:
            first = next(other for other in waiting if other.hold_id == one.hold_id)
            assert first is one, "overtaken"
            waiting.remove(one)
            done.append(one)

    for act, one, other in acts:
        if act == "say":
            waiting.append(said(one, other))
            line.add(waiting[-1])
            continue
        now += other
        batch = line.take(now)
        assert len(batch) <= MOST
        assert len(batch) == 1 or sum(said.weight for said in batch) <= BATCH_BYTES
        match one:
            case "written":
                bring_home(batch)
                line.written()
            case "failed":
                line.failed(batch, now) if batch else None
            case "unreached":
                line.give_back(batch)
            case "held up":
                line.held_up(batch, now)
            case _:
                holds = {said.hold_id for said in batch[: len(batch) // 2]}
                bring_home([said for said in batch if said.hold_id not in holds])
                line.held_up([said for said in batch if said.hold_id in holds], now)
        assert sorted(map(id, line)) == sorted(map(id, waiting))

    for _ in range(10 * len(waiting) + 10):
        rest = line.rest(now)
        if rest is None:
            break
        now += rest
        bring_home(line.take(now))
        line.written()
    assert not waiting
    assert not len(line)


def test_who_returns_holds_up_nobody_who_came_meanwhile() -> None:
    line = Line(2)
    returning = [said(0, 0), said(1, 0)]
    for one in returning:
        line.add(one)
    assert line.take(0.0) == returning
    line.held_up(returning, 0.0)
    behind, others = said(0, 0), [said(2, 0), said(3, 0)]
    for one in (behind, *others):
        line.add(one)
    assert line.take(1.0) == others
    assert line.take(1.0) == returning
    assert line.take(1.0) == [behind]


@pytest.mark.parametrize("fails", [Line.failed, Line.held_up])
def test_nobody_is_given_up_however_often_it_fails(fails: Callable[[Line, list[Said], float], None]) -> None:
    line, now = Line(MOST), 0.0
    one = said(0, 0)
    line.add(one)
    for _ in range(3_000):
        now += 10.0
        assert line.take(now) == [one]
        fails(line, [one], now)
    assert [*line] == [one]
