"""What the imitated Messages API seals, and how it knows its seals again.

A seal says which answer it belongs to, which of its sealed blocks it is, and what stood before it there.
The code over that and over what it seals can be made by nobody else.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from itertools import groupby
from typing import Any, NamedTuple
from zlib import crc32

from anthropic_server_faults import invalid

_KEY = b"only the imitation knows this"
_SEALED = ("thinking", "redacted_thinking")


class Place(NamedTuple):
    """Of a sealed block: the `number`th of `of` in `answer`, behind the blocks `before`, of which it tells
    the kinds and how long their texts are. `prefix` is that of the prompt. `kinds`: of all that the answer
    has, texts that follow one another as one."""

    answer: str
    prefix: str
    number: int
    of: int
    before: list[list[Any]]
    kinds: list[str]


def seal(place: Place, text: str) -> str:
    """A token for a block that says `text`."""
    return _join(json.dumps(place).encode(), text)


def prefix_of(body: dict[str, Any], messages: int | None = None) -> str:
    """What model, system, tools and the first `messages` come to; marks are no part of it."""
    said = [body["model"], body.get("system"), body.get("tools"), body["messages"][:messages]]
    plain = json.loads(json.dumps(said), object_hook=_unmarked)
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def _unmarked(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "cache_control"}


def _join(place: bytes, text: str) -> str:
    code = hmac.digest(_KEY, place + b"\0" + text.encode(), hashlib.sha256)
    return f"{base64.b64encode(place).decode()}.{base64.b64encode(code).decode()}"


def shape(blocks: list[dict[str, Any]]) -> list[list[Any]]:
    """What blocks are, and how long they are where that can be told apart."""
    return [[block["type"], len(block["text"]) if block["type"] == "text" else 0] for block in blocks]


def kinds_of(blocks: list[dict[str, Any]]) -> list[str]:
    return [kind for kind, run in groupby(block["type"] for block in blocks) for _ in _once(kind, run)]


def _once(kind: str, run: Iterable[str]) -> list[str]:
    return ["text"] if kind == "text" else list(run)


def sealed_result(url: str, title: str, cited: list[int]) -> str:
    """What a page said, opaque; `cited` are the checksums of the texts that cite what was found."""
    return _join(json.dumps(cited).encode(), f"{url}\0{title}")


def dropped(body: dict[str, Any]) -> int:
    """How many sealed blocks of a request the server may pass over: another prompt stands before them."""
    return sum(
        _place_of(block).prefix != prefix_of(body, at)
        for at, message in enumerate(body["messages"])
        if message["role"] == "assistant"
        for block in message["content"]
        if block["type"] in _SEALED
    )


def _place_of(block: dict[str, Any]) -> Place:
    token = block["signature"] if block["type"] == "thinking" else block["data"]
    return Place(*json.loads(base64.b64decode(token.split(".")[0], validate=True)))


def secret(*what: str) -> str:
    """Opaque text that only the server can have made of `what`."""
    return base64.b64encode(hmac.digest(_KEY, "\0".join(what).encode(), hashlib.sha256)).decode()


def verify(content: list[dict[str, Any]], path: str, *, latest: bool, prefix: str | None) -> None:
    """Of one assistant turn: each sealed block is ours, unmodified and in its place, and where some of an
    answer's sealed blocks are there, all are. `prefix` is the one they must have been minted behind."""
    found: dict[str, list[int]] = {}
    totals: dict[str, int] = {}
    for at, block in enumerate(content):
        if block["type"] not in _SEALED:
            continue
        thinks = block["type"] == "thinking"
        token, text = (block["signature"], block["thinking"]) if thinks else (block["data"], "")
        what = (
            f"{path}.content.{at}: Invalid `{'signature' if thinks else 'data'}` in `{block['type']}` block"
        )
        try:
            place = base64.b64decode(token.split(".")[0], validate=True)
            was = Place(*json.loads(place))
        except ValueError:
            raise invalid(what) from None
        if not hmac.compare_digest(token, _join(place, text)):
            raise invalid(what)
        if prefix is not None and was.prefix != prefix:
            raise invalid(f"{what}. The block is bound to a different conversation.")
        if shape(content[:at]) != was.before:
            raise invalid(f"{path}.content.{at}: `{block['type']}` blocks must remain where they were")
        if kinds_of(content)[: len(was.kinds)] != was.kinds:
            raise invalid(f"{path}: an answer's blocks must remain in their order")
        found.setdefault(was.answer, []).append(was.number)
        totals[was.answer] = was.of
    for answer, numbers in found.items():
        if numbers != list(range(totals[answer])):
            which = "latest assistant message" if latest else "assistant message"
            raise invalid(
                f"{path}: `thinking` or `redacted_thinking` blocks in the {which} cannot be modified. These "
                "blocks must remain as they were in the original response."
            )


def verify_searches(content: list[dict[str, Any]], path: str) -> None:
    """Searches come with what they found, and citations with the search that found what is cited."""
    secrets = set()
    wanted: set[int] = set()
    for at, block in enumerate(content):
        where = f"{path}.content.{at}"
        after = content[at + 1] if at + 1 < len(content) else {}
        if block["type"] == "server_tool_use" and after.get("tool_use_id") != block["id"]:
            raise invalid(f"{where}: `{block['name']}` tool use with id `{block['id']}` without its result")
        if block["type"] == "web_search_tool_result":
            before = content[at - 1] if at else {}
            if before.get("id") != block["tool_use_id"]:
                raise invalid(f"{where}: unexpected `tool_use_id` found in `web_search_tool_result`")
            for result in block["content"]:
                token = result["encrypted_content"]
                try:
                    cited = json.loads(base64.b64decode(token.split(".")[0], validate=True))
                except ValueError:
                    cited = []
                if token != sealed_result(result["url"], result["title"], cited):
                    raise invalid(f"{where}: Invalid `encrypted_content` in `search_result` block")
                wanted.update(cited)
                secrets.add(secret("index", result["url"]))
        for citation in block.get("citations") or ():
            if citation["encrypted_index"] not in secrets:
                raise invalid(f"{where}.citations: Could not find search result for citation index")
    brought = {crc32(block["text"].encode()) for block in content if block.get("citations")}
    if not wanted <= brought:
        raise invalid(f"{path}: a text that cites what a search found must come back with its citations")
