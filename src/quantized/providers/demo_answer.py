"""What the demo model says: a pure function of the request, and plainly a script."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import encode

from quantized.providers.demo_schema import Filler

_CAPITALS = {
    "austria": "Vienna",
    "belgium": "Brussels",
    "brazil": "Brasília",
    "canada": "Ottawa",
    "france": "Paris",
    "germany": "Berlin",
    "india": "New Delhi",
    "italy": "Rome",
    "japan": "Tokyo",
    "kenya": "Nairobi",
    "poland": "Warsaw",
    "portugal": "Lisbon",
    "spain": "Madrid",
    "switzerland": "Bern",
}
_COUNTRY = re.compile(r"\b(" + "|".join(_CAPITALS) + r")\b", re.IGNORECASE)
_SUM = re.compile(r"\b(\d{1,9}) ?([+*×-]) ?(\d{1,9})\b")
_PLACE = re.compile(r"\b(?:in|for|at|of) ([A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*)")
_AND_PLACE = re.compile(r"(?:,|\band\b) (?:in )?([A-Z][\w'’-]+(?: [A-Z][\w'’-]+)*)")
_ASKS_FOR_TOOLS = re.compile(r"\b(tools?|functions?|call|calls|use)\b", re.IGNORECASE)
_ASKS_FOR_TWO = re.compile(r"\b(two|both|twice|parallel)\b", re.IGNORECASE)
_PIECE = re.compile(r"\s*\S{1,16}|\s+\Z")
_Call = tuple[str, tuple[str, ...]]
_MEDIA = {"image_url": "image", "input_audio": "recording", "file": "file"}


class Function(Struct, frozen=True):
    name: str
    parameters: dict[str, Any] | None = None


class Tool(Struct, frozen=True):
    function: Function


class CalledFunction(Struct, frozen=True):
    name: str
    arguments: str


class Call(Struct, frozen=True):
    id: str
    function: CalledFunction


class Message(Struct, frozen=True):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part["text"] for part in self.content or () if part.get("type") == "text")

    @property
    def media(self) -> list[str]:
        parts = self.content if isinstance(self.content, list) else []
        return [_MEDIA[part["type"]] for part in parts if part.get("type") in _MEDIA]


class JsonSchema(Struct, frozen=True):
    schema: dict[str, Any] | None = None


class ResponseFormat(Struct, frozen=True):
    type: str
    json_schema: JsonSchema | None = None


class ReasoningWish(Struct, frozen=True):
    effort: str | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    enabled: bool | None = None


class Request(Struct, frozen=True):
    """What the demo model reads of a Chat Completions request."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    stop: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning: ReasoningWish | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream: bool = False


class Answer(Struct, frozen=True):
    """In pieces, of which each is a token. `calls` are (name, pieces of the arguments)."""

    thoughts: tuple[str, ...]
    shows_thoughts: bool
    words: tuple[str, ...]
    calls: tuple[_Call, ...]
    finish: str
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        return len(self.thoughts) + len(self.words) + sum(1 + len(pieces) for _, pieces in self.calls)


def answer(request: Request) -> Answer:
    prompt = _prompt(request.messages)
    thoughts = _thoughts(request.reasoning, prompt)
    calls = _calls(request, prompt)
    text = "" if calls else _text(request, prompt)
    for stop in request.stop or ():
        text = text.partition(stop)[0] if stop else text
    words, finish = pieces(text), "tool_calls" if calls else "stop"
    if request.max_tokens is not None:
        whole = (thoughts, words, calls)
        thoughts, words, calls = _capped(*whole, request.max_tokens)
        finish = finish if (thoughts, words, calls) == whole else "length"
    wish = request.reasoning
    return Answer(
        thoughts=thoughts,
        shows_thoughts=wish is None or not wish.exclude,
        words=words,
        calls=tuple(calls),
        finish=finish,
        prompt_tokens=_prompt_tokens(request),
    )


def pieces(text: str) -> tuple[str, ...]:
    """Words with the space before them; long ones in parts."""
    return tuple(_PIECE.findall(text))


def _capped(
    thoughts: tuple[str, ...], words: tuple[str, ...], calls: list[_Call], left: int
) -> tuple[tuple[str, ...], tuple[str, ...], list[_Call]]:
    """The first `left` tokens. A call's name is one."""
    thoughts = thoughts[:left]
    left -= len(thoughts)
    words = words[:left]
    left -= len(words)
    kept = []
    for name, arguments in calls:
        if left <= 0:
            break
        kept.append((name, arguments[: left - 1]))
        left -= 1 + len(kept[-1][1])
    return thoughts, words, kept


def _prompt(messages: Sequence[Message]) -> str:
    return next((m.text for m in reversed(messages) if m.role == "user"), "")


def _prompt_tokens(request: Request) -> int:
    said = (m.text for m in request.messages)
    called = (c.function.arguments for m in request.messages for c in m.tool_calls or ())
    offered = (encode(tool).decode() for tool in request.tools or ())
    words = sum(len(pieces(text)) for texts in (said, called, offered) for text in texts)
    return words + 4 * len(request.messages) + 8 * sum(len(m.media) for m in request.messages)


def _thoughts(wish: ReasoningWish | None, prompt: str) -> tuple[str, ...]:
    if wish is None or wish.enabled is False or wish.effort == "none":
        return ()
    thoughts = pieces(f"The user wrote {_quoted(prompt)}. I look for it in my script and answer from there.")
    return thoughts if wish.max_tokens is None else thoughts[: wish.max_tokens]


def _calls(request: Request, prompt: str) -> list[_Call]:
    """The calls of tools that the prompt, or the caller's choice, asks for."""
    choice, tools = request.tool_choice, [tool.function for tool in request.tools or ()]
    if not tools or choice == "none" or request.messages[-1].role == "tool":
        return []
    wanted = [tool for tool in tools if _is_meant(tool.name, prompt)]
    if isinstance(choice, dict):
        forced = choice.get("function", {}).get("name")
        wanted = [tool for tool in tools if tool.name == forced]
    elif not wanted and (choice == "required" or _ASKS_FOR_TOOLS.search(prompt)):
        wanted = tools[:1]
    places = _places(prompt)
    if len(wanted) == 1 and (len(places) > 1 or _ASKS_FOR_TWO.search(prompt)):
        wanted *= 2
    if request.parallel_tool_calls is False:
        wanted = wanted[:1]
    several = len({tool.name for tool in wanted}) < len(wanted)
    return [
        (tool.name, pieces(_arguments(tool, prompt, places[i % len(places)] if several else places[0])))
        for i, tool in enumerate(wanted)
    ]


def _is_meant(name: str, prompt: str) -> bool:
    """The prompt says the name, or a telling word of it (`weather` of `get_weather`)."""
    said = prompt.lower()
    words = [word for word in re.split(r"[_\W]+|(?<=[a-z])(?=[A-Z])", name) if len(word) > 4]
    return name.lower() in said or any(word.lower() in said for word in words)


def _places(prompt: str) -> list[str]:
    first = _PLACE.search(prompt)
    if first is None:
        return ["Paris"]
    return [first[1], *_AND_PLACE.findall(prompt, first.end())]


def _arguments(tool: Function, prompt: str, place: str) -> str:
    if not tool.parameters:
        return "{}"
    value = Filler(tool.parameters, place=place, topic=_topic(prompt)).fill()
    return encode(value if isinstance(value, dict) else {}).decode()


def _text(request: Request, prompt: str) -> str:
    wanted = request.response_format
    if wanted is not None and wanted.type == "json_schema":
        schema = wanted.json_schema.schema if wanted.json_schema is not None else None
        filler = Filler(schema or {"type": "object"}, place=_places(prompt)[0], topic=_topic(prompt))
        return encode(filler.fill()).decode()
    text = _after_tools(request.messages) or _reply(request.messages, prompt)
    if wanted is not None and wanted.type == "json_object":
        return encode({"answer": text}).decode()
    return text


def _after_tools(messages: Sequence[Message]) -> str:
    names = {call.id: call.function.name for m in messages for call in m.tool_calls or ()}
    results = []
    for message in reversed(messages):
        if message.role != "tool":
            break
        results.append(f"{names.get(message.tool_call_id or '', 'the tool')} says {message.text.strip()}")
    return f"I asked, and {', and '.join(reversed(results))}." if results else ""


def _reply(messages: Sequence[Message], prompt: str) -> str:
    country, operation = _COUNTRY.search(prompt), _SUM.search(prompt)
    media = next((m.media for m in reversed(messages) if m.role == "user"), [])
    if media:
        return f"You sent me {_counted(media)}. I am a demo model and see only that they are there."
    if country is not None and any("capital" in m.text.lower() for m in messages):
        name = country[1].title()
        return f"The capital of {name} is {_CAPITALS[name.lower()]}."
    if operation is not None:
        return f"{operation[1]} {operation[2]} {operation[3]} = {_computed(*operation.groups())}."
    if not prompt.strip():
        return "Hello! I am the demo model of this gateway. Ask me for the capital of France."
    return (
        f"You wrote {_quoted(prompt)}, and I am only the demo model of this gateway: I know a few capitals, "
        "I can add, call your tools and fill your JSON schemas. For anything else, choose another model."
    )


def _counted(media: Iterable[str]) -> str:
    names = list(media)
    counts = [(name, names.count(name)) for name in dict.fromkeys(names)]
    return " and ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts)


def _computed(left: str, operator: str, right: str) -> int:
    a, b = int(left), int(right)
    return {"+": a + b, "-": a - b}.get(operator, a * b)


def _quoted(prompt: str) -> str:
    words = prompt.split()
    return '"' + " ".join(words[:12])[:120] + ("…" if len(words) > 12 else "") + '"'


def _topic(prompt: str) -> str:
    return " ".join(prompt.split()[:6])[:60] or "demo"
