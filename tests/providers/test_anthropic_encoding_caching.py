"""Cache marks: the caller's, the automatic ones, and what a conversation costs with them."""

import json
from typing import Any

import pytest
from anthropic_requests import HAIKU_3, HELLO, assistant, called, encode, refusal, result, user
from msgspec import Raw
from msgspec.structs import replace

from quantized.core.parts import CacheMark, Text
from quantized.core.request import GenerationRequest, Message, Tool

LONG = "word " * 1_000
EPHEMERAL = {"type": "ephemeral"}
FIELD = "cache_control"


def marked(text: str, ttl: Any = None) -> Text:
    return Text(text, CacheMark(ttl))


def instructed(*parts: Text | str) -> Message:
    return replace(user(*parts), role="system")


def talk(*messages: Message, **kwargs: Any) -> GenerationRequest:
    return replace(HELLO, messages=messages, **kwargs)


def marks(body: dict[str, Any]) -> list[str]:
    """Where marks are, in the order of the prompt."""
    found = [f"tools[{at}]" for at, tool in enumerate(body.get("tools", ())) if FIELD in tool]
    found += [f"system[{at}]" for at, block in enumerate(body.get("system", ())) if FIELD in block]
    for at, turn in enumerate(body["messages"]):
        found += [f"{at}.{n}" for n, block in enumerate(turn["content"]) if FIELD in block]
    return found


CONTINUED = talk(instructed(LONG), user("a"), assistant("b"), user("c", "d"))


def test_marks_of_the_caller_are_passed():
    body = encode(
        talk(instructed(marked("s", "1h")), user(marked("a", "5m")), assistant(marked("b")), user("c"))
    )
    assert body["system"][0][FIELD] == {"type": "ephemeral", "ttl": "1h"}
    assert body["messages"][0]["content"][0][FIELD] == {"type": "ephemeral", "ttl": "5m"}
    assert body["messages"][1]["content"][0][FIELD] == EPHEMERAL


def test_the_fifth_mark_is_refused():
    four = talk(instructed(marked("s")), user(*[marked("x")] * 3))
    assert len(marks(encode(four, caching="always"))) == 4
    five = replace(four, tools=(Tool("f", cache=CacheMark()),))
    assert refusal(five).param == "messages[1].content[2].cache_control"


def test_a_longer_life_after_a_shorter_one_is_refused():
    fault = refusal(talk(user(marked("a")), assistant("b"), user(marked("c", "1h"))))
    assert fault.param == "messages[2].content[0].cache_control.ttl"


@pytest.mark.parametrize(
    ("mode", "request_", "expected"),
    [
        ("off", CONTINUED, []),
        ("continued", CONTINUED, ["system[0]", "0.0", "2.1"]),
        ("always", CONTINUED, ["system[0]", "0.0", "2.1"]),
        ("continued", talk(instructed(LONG), user("a")), []),
        ("always", talk(instructed(LONG), user("a")), ["system[0]", "0.0"]),
        ("continued", talk(instructed("short"), user("a"), assistant("b"), user("c")), []),
        ("continued", talk(user("a"), assistant(LONG), user("c")), ["2.0"]),
        ("continued", talk(user(LONG), called("c"), result("c", "r")), ["0.0", "2.0"]),
    ],
)
def test_automatic_marks(mode, request_, expected):
    assert marks(encode(request_, caching=mode)) == expected


def test_tools_are_marked_where_there_are_no_instructions():
    tool = Tool("f", LONG)
    request = talk(user("a"), assistant("b"), user("c"), tools=(tool, Tool("g")))
    assert marks(encode(request, caching="continued")) == ["tools[1]", "0.0", "2.0"]


def test_automatic_marks_take_the_room_that_is_left():
    request = talk(instructed(marked(LONG)), user(*[marked("x")] * 2), assistant("b"), user("c"))
    assert marks(encode(request, caching="continued")) == ["system[0]", "0.0", "0.1", "2.0"]


def test_automatic_marks_stand_behind_those_of_an_hour():
    request = talk(instructed(LONG), user(marked("a", "1h")), assistant("b"), user("c"))
    assert marks(encode(request, caching="continued")) == ["0.0", "2.0"]


def test_models_that_cache_long_prefixes_alone():
    assert marks(encode(CONTINUED, "claude-haiku-4-5-20251001", caching="continued")) == []
    assert marks(encode(CONTINUED, HAIKU_3, caching="continued")) == ["system[0]", "0.0", "2.1"]


def test_a_conversation_that_grows_keeps_its_beginning():
    """A prefix is found again only if it is the same, marks apart."""
    messages = [instructed(LONG), user("a"), called("x:1"), result("x:1", "r"), assistant("b"), user("c")]
    messages += [assistant("d"), user("e")]
    before: str | None = None
    for length in (2, 4, 6, 8):
        body = encode(talk(*messages[:length]), caching="always")
        for block in every(body):
            block.pop(FIELD, None)
        text = json.dumps(every(body))
        assert before is None or text.startswith(before.removesuffix("]"))
        before = text


def every(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of the prompt, in its order."""
    turns = [block for turn in body["messages"] for block in turn["content"]]
    return [*body.get("tools", ()), *body.get("system", ()), *turns]


class Cache:
    """What the API keeps: prefixes up to marks, of at least `least` tokens. Four bytes are a token here."""

    def __init__(self, least: int = 1_024) -> None:
        self._least = least
        self._kept: set[str] = set()

    def usage(self, body: dict[str, Any]) -> tuple[int, int, int]:
        """(plain, read, written) tokens of one request."""
        prefix, total, read, written = "", 0, 0, 0
        for block in every(body):
            mark = block.get(FIELD)
            prefix += json.dumps({name: value for name, value in block.items() if name != FIELD})
            total = len(prefix) // 4
            if prefix in self._kept:
                read = total
            if mark is not None and total >= self._least:
                self._kept.add(prefix)
                written = total
        written = max(0, written - read)
        return total - read - written, read, written


def cost(mode: str, turns: int, instructions: int = 8_000, question: int = 800, answer: int = 1_600) -> int:
    """Micro-dollars of the input of a conversation of so many turns, at 3 dollars a million, a quarter more
    for what is written and a tenth for what is read. Sizes in bytes."""
    cache = Cache()
    tool = Tool("f", "d" * (instructions // 2), Raw(b'{"type":"object"}'))
    messages = [instructed("i" * (instructions // 2))]
    micro = 0.0
    for turn in range(turns):
        messages.append(user(f"{turn}" + "q" * question))
        body = encode(talk(*messages, tools=(tool,)), caching=mode)
        plain, read, written = cache.usage(body)
        micro += plain * 3 + written * 3.75 + read * 0.3
        messages.append(assistant(f"{turn}" + "a" * answer))
    return round(micro)


def test_what_ten_turns_cost():
    """Micro-dollars: with 2,000 tokens of tools and instructions, questions of 200 and answers of 400."""
    assert {mode: cost(mode, 10) for mode in ("off", "continued", "always")} == {
        "off": 149_880,
        "continued": 47_787,
        "always": 41_763,
    }


def test_what_a_single_question_costs():
    """What is asked once and never again would pay for a cache that nobody reads."""
    assert cost("continued", 1) == cost("off", 1) < cost("always", 1)


def test_what_two_turns_cost():
    """The second turn pays for the cache, the third has it back."""
    assert cost("continued", 2) > cost("off", 2)
    assert cost("continued", 3) < cost("off", 3)


def test_a_short_conversation_is_left_alone():
    assert cost("continued", 3, 400, 40, 40) == cost("off", 3, 400, 40, 40)


def test_a_mark_on_a_part_that_says_nothing_moves_to_the_part_before():
    blank = marked(" ", "5m")
    assert marks(encode(talk(instructed("a", blank), user("b")))) == ["system[0]"]
    assert marks(encode(talk(user("a", marked("")), assistant("b", blank), user("c")))) == ["0.0", "1.0"]
    assert marks(encode(talk(user("a"), assistant("b", marked("", "1h")), user("c")))) == ["1.0"]
    called_f = called("c")
    answered = talk(
        user("a"), replace(called_f, parts=(*called_f.parts, blank)), result("c", "r"), user(blank)
    )
    assert marks(encode(answered)) == ["1.0", "2.0"]


def test_of_two_marks_the_one_that_lives_longer_stays():
    for one, other in (("5m", "1h"), ("1h", "5m"), (None, "1h")):
        body = encode(talk(user(marked("a", one), marked(" ", other))))
        assert body["messages"][0]["content"][0][FIELD] == {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    ("messages", "at"),
    [
        ((user(marked(" "), "a"),), "messages[0].content[0]"),
        ((instructed(marked("")), user("a")), "messages[0].content[0]"),
        ((user("a"), assistant(marked("")), user("b")), "messages[1].content[0]"),
        ((user("a"), assistant(marked(" "), "b"), user("b")), "messages[1].content[0]"),
    ],
)
def test_a_mark_on_nothing_at_all_is_refused(messages, at):
    assert refusal(talk(*messages)).param == f"{at}.cache_control"
