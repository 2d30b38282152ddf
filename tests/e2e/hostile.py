"""An upstream server on a real socket, strict about what it receives and free in what it answers.

It runs in a thread of its own. The name of a request's model says how it is treated (`hostile_behaviours`).
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

UPSTREAM_KEY = "upstream-secret-5d41402abc4b2a76"
"""What the gateway must show here and must never show anywhere else."""

_SAMPLING = {"temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "repetition_penalty"}
_FIELDS = _SAMPLING | {
    *("model", "messages", "max_tokens", "max_completion_tokens", "stop", "seed", "logprobs", "top_logprobs"),
    *("logit_bias", "tools", "tool_choice", "parallel_tool_calls", "response_format", "modalities", "audio"),
    *("reasoning", "reasoning_effort", "web_search_options", "plugins", "provider", "metadata", "user"),
    *("stream", "stream_options"),
}
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


@dataclass
class Seen:
    """One request as it arrived. `gone`: the client hung up before we had ended."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    raw: bytes
    at: float
    gone: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    """We have done what was to do, or cannot any more."""
    written: int = 0
    """Bytes of the answer that the kernel took."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """For a behaviour that waits to be told."""

    @cached_property
    def prompt(self) -> str:
        return json.dumps(self.body["messages"])

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))


class Peer:
    """The server's end of one exchange, in the hands of a behaviour."""

    def __init__(self, seen: Seen, tries: int, writer: asyncio.StreamWriter) -> None:
        self.seen = seen
        self.tries = tries
        """How many requests with this prompt there have been, this one included."""
        self.writer = writer
        self.closed = False

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken it."""
        self.writer.write(data)
        await self.writer.drain()
        self.seen.written += len(data)

    def close(self) -> None:
        self.closed = True

    def reset(self) -> None:
        """Closes with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.closed = True

    async def hang(self) -> None:
        """Until the client hangs up, which cancels the behaviour."""
        await asyncio.Event().wait()


Behaviour = Callable[[Peer], Awaitable[None]]


class Hostile:
    """`complaints` are what was wrong with what the gateway sent, and must stay empty."""

    def __init__(self, behaviours: Mapping[str, Behaviour], pages: Mapping[str, bytes]) -> None:
        """`pages`: JSON bodies by the path of a GET."""
        self._behaviours = behaviours
        self._pages = pages
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._tries: Counter[str] = Counter()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._stopped: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="hostile", daemon=True)
        self._started = threading.Event()
        self.complaints: list[str] = []
        self.port = 0

    def start(self) -> None:
        self._thread.start()
        assert self._started.wait(50)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(50)

    def seen(self, marker: str) -> list[Seen]:
        """The requests whose prompt holds `marker`."""
        with self._lock:
            return [seen for seen in self._seen if marker in seen.prompt]

    def go_on(self, marker: str) -> None:
        """Tells those of the requests that are waiting for it."""
        for seen in self.seen(marker):
            seen.go_on.set()

    @property
    def connections(self) -> int:
        """Connections that are open now, idle ones included."""
        return len(self._connections)

    def judged(self, path: str, headers: Mapping[str, str], body: dict[str, Any]) -> list[str]:
        """What is wrong with a request."""
        return _judged(path, headers, body)

    def behaviour(self, seen: Seen) -> Behaviour:
        """How a request is treated."""
        return self._behaviours[seen.body["model"]]

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._stopped = asyncio.Event()
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=512)
            self.port = server.sockets[0].getsockname()[1]
            self._started.set()
            await self._stopped.wait()
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections)

        asyncio.run(serve())

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writer.transport.set_write_buffer_limits(high=0)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer. False: the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.removesuffix("\r\n\r\n").split("\r\n")
        method, path, _ = line.split(" ")
        headers = {name.lower(): value for name, value in (pair.split(": ", 1) for pair in fields)}
        if method == "GET":
            page = self._pages[path]
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(page) + page)
            return True
        raw = await reader.readexactly(int(headers["content-length"]))
        body = json.loads(raw)
        self.complaints += [f"{complaint}: {line} {body}" for complaint in self.judged(path, headers, body)]
        seen = Seen(path, headers, body, raw, time.monotonic())
        with self._lock:
            self._seen.append(seen)
            self._tries[seen.prompt] += 1
            tries = self._tries[seen.prompt]
        return await self._behave(Peer(seen, tries, writer), reader)

    async def _behave(self, peer: Peer, reader: asyncio.StreamReader) -> bool:
        seen = peer.seen
        acting = asyncio.ensure_future(self.behaviour(seen)(peer))
        listening = asyncio.ensure_future(reader.read(1))
        await asyncio.wait((acting, listening), return_when=asyncio.FIRST_COMPLETED)
        if acting.done():
            listening.cancel()
            await asyncio.wait((listening,))
            if acting.exception() is None:
                seen.ended.set()
                return not peer.closed
            assert isinstance(acting.exception(), ConnectionError), acting.exception()
        seen.gone.set()
        seen.ended.set()
        acting.cancel()
        await asyncio.wait((acting, listening))
        if acting.done() and listening.cancelled():
            return False
        if listening.exception() is None and listening.result():
            self.complaints.append("bytes of another request before the end of this one")
        return False


def _judged(path: str, headers: Mapping[str, str], body: dict[str, Any]) -> list[str]:
    """What is wrong with a request."""
    wrong = []
    if not path.endswith("/v1/chat/completions"):
        wrong.append("path")
    if headers.get("content-type") != "application/json":
        wrong.append("content-type")
    if headers.get("authorization") != (None if "/other/" in path else f"Bearer {UPSTREAM_KEY}"):
        wrong.append("authorization")
    if not _FIELDS.issuperset(body) or None in body.values():
        wrong.append("fields")
    messages = body.get("messages") or [{}]
    if any(message.get("role") not in _ROLES for message in messages):
        wrong.append("messages")
    caps = [body[name] for name in ("max_tokens", "max_completion_tokens") if name in body]
    if len(caps) > 1 or any(type(cap) is not int or cap < 1 for cap in caps):
        wrong.append("output cap")
    wanted = {"include_usage": True} if body.get("stream") else None
    if body.get("stream", True) is not True or body.get("stream_options") != wanted:
        wrong.append("stream")
    return wrong
