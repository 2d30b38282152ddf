"""A conversation to turns that alternate, the user's first."""

import re
from collections.abc import Sequence
from hashlib import blake2s
from itertools import groupby
from typing import Any, Literal

from msgspec import DecodeError, Struct
from msgspec.json import decode

from quantized.core.parts import ToolCall, ToolResult
from quantized.core.request import Message
from quantized.providers.anthropic.content import Block, Said, block_of, mark
from quantized.providers.anthropic.refusal import unsupported
from quantized.providers.anthropic.replay import Called, Pieces, by_places, in_order, pieces, text_block
from quantized.providers.anthropic.replay import Said as Spoken

OPENING = "(The conversation begins here.)"
"""What the user is made to say where the conversation begins without one: the API wants the user's turn
first."""

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_SYSTEM = frozenset({"system", "developer"})

Numbered = tuple[int, Message]


class Turn(Struct):
    role: Literal["user", "assistant"]
    blocks: list[Block]


class History:
    """`system` and `turns` of a conversation. Everything raises UnsupportedParameter; InvalidValue for sealed
    blocks that are not as they were."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.system: list[Block] = []
        self.turns: list[Turn] = []
        self._calls = _Calls()
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

    @property
    def continues(self) -> bool:
        """An answer is part of it."""
        return any(turn.role == "assistant" for turn in self.turns)

    def _instruct(self, at: int, message: Message) -> None:
        for n, part in enumerate(message.parts):
            path = f"messages[{at}].content[{n}]"
            block = block_of(part, path) if isinstance(part, Said) else None
            if block is not None and block.body["type"] != "text":
                raise unsupported(path, "instructions are text alone; send other content as the user's")
            if block is not None:
                self.system.append(block)

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
        self.turns.insert(0, Turn("user", [Block({"type": "text", "text": OPENING}, "messages")]))

    def _ask(self, messages: list[Numbered], last: int) -> None:
        results: list[Block] = []
        others: list[Block] = []
        for at, message in messages:
            for n, part in enumerate(message.parts):
                path = f"messages[{at}].content[{n}]"
                if isinstance(part, ToolResult):
                    results.append(self._result(part, at))
                elif isinstance(part, Said):
                    others.extend([block] if (block := block_of(part, path)) else [])
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

    def _add(self, role: Literal["user", "assistant"], blocks: list[Block]) -> None:
        if self.turns and self.turns[-1].role == role:
            # An empty answer stood between the two.
            self.turns[-1].blocks.extend(blocks)
        else:
            self.turns.append(Turn(role, blocks))

    def _result(self, result: ToolResult, at: int) -> Block:
        path = f"messages[{at}]"
        body: dict[str, Any] = {
            "type": "tool_result",
            "tool_use_id": self._calls.answer(result.call_id, f"{path}.tool_call_id"),
        }
        outer = Block(body, f"{path}.content[{len(result.parts) - 1}]")
        content: list[dict[str, Any]] = []
        for n, part in enumerate(result.parts):
            if part.cache is not None and n < len(result.parts) - 1:
                raise unsupported(
                    f"{path}.content[{n}].cache_control",
                    "a tool's result is cached whole; mark its last part",
                )
            if block := block_of(part, f"{path}.content[{n}]"):
                content.append({k: v for k, v in block.body.items() if k != "cache_control"})
            mark(outer, part.cache)
        if content:
            plain = len(content) == 1 and content[0]["type"] == "text"
            body["content"] = content[0]["text"] if plain else content
        return outer

    def _answer(self, messages: list[Numbered]) -> None:
        """An answer that says nothing is left out: the API takes none, and no model would miss it."""
        blocks = self._spoken(self._replayed(messages))
        while blocks and blocks[-1].body["type"] in _THOUGHTS:
            # An answer that broke off while it thought: thinking that leads to nothing is not taken back.
            blocks.pop()
        if blocks:
            self._add("assistant", blocks)

    def _replayed(self, messages: list[Numbered]) -> Pieces:
        """Once a sealed block has lost its place, the later ones are left out as well: they are bound to
        what came before them."""
        apart = [pieces(message.parts, at, sealed=self._intact) for at, message in messages]
        whole = in_order(apart) or by_places(apart)
        if whole is None:
            self._intact = False
            whole = [piece for at, message in messages for piece in pieces(message.parts, at, sealed=False)]
        return whole

    def _spoken(self, found: Pieces) -> list[Block]:
        blocks: list[Block] = []
        for piece in found:
            match piece:
                case Spoken():
                    blocks.extend([block] if (block := text_block(piece)) else [])
                case Called(call, path):
                    blocks.append(self._call(call, path))
                case sealed:
                    blocks.append(Block(sealed.block, "messages[].reasoning_details"))
        return blocks

    def _call(self, call: ToolCall, path: str) -> Block:
        wire_id = self._calls.make(call.id, path)
        arguments = _arguments(call.arguments, f"{path}.function.arguments")
        return Block({"type": "tool_use", "id": wire_id, "name": call.name, "input": arguments}, path)


class _Calls:
    """The calls of the last answer that wait for their results, and the ids that they go by.

    Ids that others minted may hold characters that the API does not take, and may come twice.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, str]] = {}
        self._used: set[str] = set()

    def make(self, call_id: str, path: str) -> str:
        wire_id = call_id
        if not _ID.fullmatch(call_id) or call_id in self._used:
            digest = blake2s(f"{len(self._used)}/{call_id}".encode("utf-8", "surrogatepass"), digest_size=12)
            wire_id = f"toolu_{digest.hexdigest()}"
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
