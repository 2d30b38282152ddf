"""A conversation to turns that alternate, the user's first, as languages of turns and blocks want it."""

import re
from collections.abc import Sequence
from hashlib import blake2s
from itertools import groupby
from typing import Any, Literal, Protocol

from msgspec import DecodeError
from msgspec.json import decode

from quantized.core.parts import Text, ToolCall, ToolResult
from quantized.core.request import Message, OutputFormat
from quantized.providers.content import Block, Said, Turn, nothing_to_mark, outlasting
from quantized.providers.places import SealedBlock
from quantized.providers.refusal import unsupported
from quantized.providers.replay import Called, Pieces, ReadSeal, by_places, in_order, pieces
from quantized.providers.replay import Said as Spoken

OPENING = "(The conversation begins here.)"
"""What the user is made to say where the conversation begins without one: the user's turn has to be first."""

_SYSTEM = frozenset({"system", "developer"})

Numbered = tuple[int, Message]


class Writer(Protocol):
    """One language's blocks. Everything may raise Refused.

    `call_ids`: what the ids of calls consist of; one that is not like that goes by `call_id_prefix` and a
    digest.
    """

    @property
    def call_ids(self) -> re.Pattern[str]: ...

    @property
    def call_id_prefix(self) -> str: ...

    def content(self, part: Said, path: str) -> Block | None:
        """None for a text that is nothing but white space: no language takes it, and no model would miss it.
        `path` is the part's."""

    def result(self, call_id: str, content: list[Block], path: str) -> Block:
        """What a call returned. A mark on the content is the caller's."""

    def call(self, call_id: str, name: str, arguments: dict[str, Any], path: str) -> Block: ...

    @property
    def read(self) -> ReadSeal: ...


class Conversation:
    """`system` and `turns` of a conversation. Everything raises Refused."""

    def __init__(self, messages: Sequence[Message], writer: Writer) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self._writer = writer
        self._calls = _Calls(writer.call_ids, writer.call_id_prefix)
        self._intact = True
        numbered = list(enumerate(messages))
        for at, message in numbered:
            if message.role != "tool" and message.name is not None:
                raise unsupported(
                    f"messages[{at}].name", "messages have no names there; say in the text who speaks"
                )
        for at, message in numbered:
            if message.role in _SYSTEM:
                self._instruct(at, message)
        self._converse([(at, message) for at, message in numbered if message.role not in _SYSTEM])

    def _instruct(self, at: int, message: Message) -> None:
        for n, part in enumerate(message.parts):
            path = f"messages[{at}].content[{n}]"
            if not isinstance(part, Text):
                raise unsupported(path, "instructions are text alone; send other content as the user's")
            self.system.extend(self._written(part, path, self.system))

    def _converse(self, messages: list[Numbered]) -> None:
        for is_assistant, run in groupby(messages, lambda one: one[1].role == "assistant"):
            if is_assistant:
                self._answer(list(run))
            else:
                self._ask(list(run), messages[-1][0])
        self._calls.require_answered()
        if self.turns and self.turns[0].role == "user":
            return
        if not self.turns and not self.system:
            raise unsupported("messages", "there is nothing in them; ask something")
        opening = self._writer.content(Text(OPENING), "messages")
        self.turns.insert(0, Turn("user", [opening] if opening else []))

    def _ask(self, messages: list[Numbered], last: int) -> None:
        results: list[Block] = []
        others: list[Block] = []
        for at, message in messages:
            for n, part in enumerate(message.parts):
                path = f"messages[{at}].content[{n}]"
                if isinstance(part, ToolResult):
                    results.append(self._result(part, at))
                elif isinstance(part, Said):
                    others.extend(self._written(part, path, others or results))
                else:
                    raise unsupported(path, "it is no content that a user can send")
        self._calls.require_answered()
        if results or others:
            self._add("user", [*results, *others])
        elif self.turns or messages[-1][0] == last:
            raise unsupported(
                f"messages[{messages[-1][0]}].content",
                "it is empty; write something, or leave the message out",
            )

    def _written(self, part: Said, path: str, before: list[Block]) -> list[Block]:
        """The block of a part. One that says nothing has none, and its mark moves to the block before it."""
        block = self._writer.content(part, path)
        if block is not None:
            return [block]
        if part.cache is not None:
            if not before or before[-1].thought:
                raise nothing_to_mark(path)
            before[-1].cache = outlasting(before[-1].cache, part.cache)
        return []

    def _add(self, role: Literal["user", "assistant"], blocks: list[Block]) -> None:
        if self.turns and self.turns[-1].role == role:
            # An empty answer stood between the two.
            self.turns[-1].blocks.extend(blocks)
        else:
            self.turns.append(Turn(role, blocks))

    def _result(self, result: ToolResult, at: int) -> Block:
        path = f"messages[{at}]"
        call_id = self._calls.answer(result.call_id, f"{path}.tool_call_id")
        content: list[Block] = []
        for n, part in enumerate(result.parts):
            if part.cache is not None and n < len(result.parts) - 1:
                raise unsupported(
                    f"{path}.content[{n}].cache_control",
                    "a tool's result is cached whole; mark its last part",
                )
            if block := self._writer.content(part, f"{path}.content[{n}]"):
                content.append(block)
        outer = self._writer.result(call_id, content, f"{path}.content[{len(result.parts) - 1}]")
        outer.result = True
        outer.cache = result.parts[-1].cache if result.parts else None
        return outer

    def _answer(self, messages: list[Numbered]) -> None:
        """An answer that says nothing is left out: no language takes it, and no model would miss it."""
        blocks = self._spoken(self._replayed(messages))
        while blocks and blocks[-1].thought:
            # An answer that broke off while it thought: thinking that leads to nothing is not taken back.
            blocks.pop()
        if blocks:
            self._add("assistant", blocks)

    def _replayed(self, messages: list[Numbered]) -> Pieces:
        """Once a sealed block has lost its place, the later ones are left out as well: they are bound to
        what came before them."""
        read = self._writer.read if self._intact else _none
        apart = [pieces(message.parts, at, read) for at, message in messages]
        whole = in_order(apart) or by_places(apart)
        if whole is None:
            self._intact = False
            whole = [piece for at, message in messages for piece in pieces(message.parts, at, _none)]
        return whole

    def _spoken(self, found: Pieces) -> list[Block]:
        blocks: list[Block] = []
        for piece in found:
            match piece:
                case Spoken(text, path, cache, beside=beside):
                    said = self._written(Text(text, cache), path, blocks)
                    for block in said:
                        block.body |= beside
                    blocks.extend(said)
                case Called(call, path):
                    blocks.append(self._call(call, path))
                case SealedBlock(dict(body), thought=thought):
                    blocks.append(Block(body, "messages[].reasoning_details", thought=thought))
        return blocks

    def _call(self, call: ToolCall, path: str) -> Block:
        call_id = self._calls.make(call.id, path)
        arguments = _arguments(call.arguments, f"{path}.function.arguments")
        return self._writer.call(call_id, call.name, arguments, path)


def check_end(turns: list[Turn], wanted: OutputFormat | None, *, prefill: bool, reasons: bool) -> None:
    """The last turn may be the assistant's, to be continued, on models that do so (`prefill`), but not behind
    white space. Raises Refused."""
    last = turns[-1]
    if last.role == "user" or "text" not in last.blocks[-1].body:
        return
    path = "messages"
    if not prefill:
        raise unsupported(path, "this model does not continue an assistant's message; end with the user's")
    if reasons:
        raise unsupported(path, "an assistant's message is not continued beside 'reasoning'; leave one out")
    if wanted is not None and wanted.kind == "json_schema":
        raise unsupported(
            path, "an assistant's message is not continued beside a 'response_format'; leave one out"
        )
    written: str = last.blocks[-1].body["text"]
    if written != written.rstrip():
        raise unsupported(
            last.blocks[-1].path, "it ends in white space, and nothing is continued behind that; cut it off"
        )


def leave_thoughts_out(turns: list[Turn]) -> None:
    """For a request with which a model does not think. No turn is of thoughts alone."""
    for turn in turns:
        turn.blocks = [block for block in turn.blocks if not block.thought]


def in_loop_without_thought(turns: list[Turn]) -> bool:
    """Whether the last turn brings the results of calls that were made without a thought before them."""
    if len(turns) < 2:
        return False
    asked, answered = turns[-1].blocks, turns[-2].blocks
    return asked[0].result and not answered[0].thought


def _none(_: object) -> None:
    """Reads no seal."""


class _Calls:
    """The calls of the last answer that wait for their results, and the ids that they go by.

    Ids that others minted may hold characters that an API does not take, and may come twice.
    """

    def __init__(self, ids: re.Pattern[str], prefix: str) -> None:
        self._ids = ids
        self._prefix = prefix
        self._waiting: dict[str, tuple[str, str]] = {}
        self._used: set[str] = set()

    def make(self, call_id: str, path: str) -> str:
        wire_id = call_id
        if not self._ids.fullmatch(call_id) or call_id in self._used:
            digest = blake2s(f"{len(self._used)}/{call_id}".encode("utf-8", "surrogatepass"), digest_size=12)
            wire_id = f"{self._prefix}{digest.hexdigest()}"
        if call_id in self._waiting:
            raise unsupported(f"{path}.id", "another call of the same answer has it")
        self._used.add(wire_id)
        self._waiting[call_id] = (wire_id, path)
        return wire_id

    def answer(self, call_id: str, path: str) -> str:
        if call_id not in self._waiting:
            raise unsupported(path, "the answer just before has no such call that waits for a result")
        return self._waiting.pop(call_id)[0]

    def require_answered(self) -> None:
        for _, path in self._waiting.values():
            raise unsupported(path, "each call needs its result right after the answer that made it")


def _arguments(written: str, path: str) -> dict[str, Any]:
    if not written.strip():
        return {}
    try:
        arguments: dict[str, Any] = decode(written.encode("utf-8", "surrogatepass"), type=dict[str, Any])
    except (DecodeError, UnicodeError, RecursionError) as error:
        raise unsupported(path, "a call's arguments must be one JSON object") from error
    return arguments
