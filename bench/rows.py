"""The rows of the table: what is loaded how, and what is read off the processes meanwhile."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.contenders import (
    BEDROCK,
    CHAT,
    INSTANT,
    JSON_TOKENS,
    PACED,
    RESPONSES,
    SHORT,
    SLOW,
    Api,
    Contender,
    Upstream,
)
from bench.conversations import among_others, converse
from bench.gateway import Ledger
from bench.machine import LOAD_CORE, compiled, pinned
from bench.tokens import signed_token

OPEN_STREAMS = 1000
OTHERS = 10_000
"""Stored responses that have nothing to do with a conversation."""


class LoadFailed(Exception):
    """Not every answer was the one that was expected."""


@dataclass
class Line:
    """One line of the table: a figure of each contender for each round, and how the two are compared."""

    key: str
    title: str
    unit: str
    compared: Literal["ratio", "difference"]
    target: float | None = None
    """What the median over the rounds has to stay under."""
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, contender: Contender, figure: float) -> None:
        self.figures.setdefault(contender.name, []).append(figure)


@dataclass(frozen=True)
class Load:
    """`connections` that ask `upstream`, in the language of `api`, for streams or JSON bodies. `previous` is
    the stored response that each request continues."""

    upstream: Upstream
    connections: int
    stream: bool = True
    api: Api = CHAT
    previous: str | None = None

    @property
    def chunks(self) -> int:
        return self.upstream.chunks if self.stream else 0

    @contextmanager
    def running(self, contender: Contender, seconds: float) -> Iterator[subprocess.Popen[bytes]]:
        """The load generator; `seconds` 0 is one request on each connection."""
        # A plain proxy hands on what the mock says, in the language of the mock.
        tellings = self.api.tellings if contender.metered else CHAT.tellings
        request = contender.request_file(
            self.upstream, stream=self.stream, api=self.api, previous=self.previous
        )
        command = pinned(
            LOAD_CORE,
            [
                compiled("load"),
                str(contender.ports[self.upstream.name]),
                str(self.connections),
                str(seconds),
                request,
                str(self.chunks * tellings),
            ],
        )
        # Unbuffered, so that reading one line leaves the rest to be read.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def result(
        self, process: subprocess.Popen[bytes], contender: Contender, ledger: Ledger
    ) -> dict[str, Any]:
        """What the load generator tells at its end. Raises LoadFailed for a single wrong answer."""
        output, complaints = process.communicate()
        if process.returncode:
            raise LoadFailed(f"{contender.name}, {self}: {output!r} {complaints!r}")
        told: dict[str, Any] = json.loads(output.splitlines()[-1])
        if contender.metered:
            ledger.note(self.chunks or JSON_TOKENS, told["good"])
        return told


@dataclass(frozen=True)
class Row:
    """`measure` runs one round against one contender and notes its figures in `lines`."""

    key: str
    lines: tuple[Line, ...]
    measure: Callable[["Row", Contender, Ledger, float], None]
    load: Load
    rounds: int | None = None
    """Where not as many as are asked for."""
    postgres: bool = False
    """Whether the gateway keeps its books on PostgreSQL."""


def _processor_time(row: Row, contender: Contender, ledger: Ledger, seconds: float) -> None:
    """Of each answer; of each chunk where the streams are paced."""
    before = contender.process.cpu_seconds()
    with row.load.running(contender, seconds) as process:
        told = row.load.result(process, contender, ledger)
    spent = contender.process.cpu_seconds() - before
    count = told["stamps"] if row.load.upstream.pace_us and row.load.stream else told["good"]
    row.lines[0].note(contender, spent * 1e6 / count)
    if len(row.lines) > 1:
        row.lines[1].note(contender, told["delay"]["p50"])


def _metered(row: Row, contender: Contender, ledger: Ledger, seconds: float) -> None:
    """Processor time of each answer, how long it took, and the processor time of the database's server where
    there is one."""
    before, server_before = contender.process.cpu_seconds(), _server_seconds(contender)
    with row.load.running(contender, seconds) as process:
        told = row.load.result(process, contender, ledger)
    spent = contender.process.cpu_seconds() - before
    server = _server_seconds(contender) - server_before
    figures = (spent * 1e6 / told["good"], told["first_byte"]["p50"], server * 1e6 / told["good"])
    for line, figure in zip(row.lines, figures, strict=False):
        line.note(contender, figure)


def _server_seconds(contender: Contender) -> float:
    return 0.0 if contender.database is None else contender.database.cpu_seconds()


def _with_token(row: Row, contender: Contender, ledger: Ledger, seconds: float) -> None:
    """Processor time of each answer to a signed token, and what percentage that is of one to a key."""
    figures = []
    for asking in (contender, _bearing(contender)):
        before = contender.process.cpu_seconds()
        with row.load.running(asking, seconds) as process:
            told = row.load.result(process, asking, ledger)
        figures.append((contender.process.cpu_seconds() - before) * 1e6 / told["good"])
    by_key, by_token = figures
    row.lines[0].note(contender, by_token)
    row.lines[1].note(contender, 100 * by_token / by_key if contender.metered else 0)


def _bearing(contender: Contender) -> Contender:
    """Its callers have a token in place of a key."""
    if not contender.metered:
        return contender
    return replace(contender, headers={"Authorization": f"Bearer {signed_token(contender.folder)}"})


def _first_byte(row: Row, contender: Contender, ledger: Ledger, seconds: float) -> None:
    with row.load.running(contender, seconds) as process:
        told = row.load.result(process, contender, ledger)
    for line, percentile in zip(row.lines, ("p50", "p99"), strict=True):
        line.note(contender, told["first_byte"][percentile])


def _continuing(turns: int, others: int = 0) -> Callable[["Row", Contender, Ledger, float], None]:
    """Processor time of each answer that continues a conversation of `turns`, with `others` stored beside."""

    def measure(row: Row, contender: Contender, ledger: Ledger, seconds: float) -> None:
        previous = converse(contender, ledger, turns)
        load = replace(row.load, previous=previous)
        database = contender.folder / "quantized.db"
        with among_others(database, previous, others) if others and contender.metered else nullcontext():
            _processor_time(replace(row, load=load), contender, ledger, seconds)

    return measure


def _memory(row: Row, contender: Contender, ledger: Ledger, seconds: float) -> None:  # noqa: ARG001 (takes what it takes)
    warming = Load(SHORT, 20)
    with warming.running(contender, 0) as process:
        warming.result(process, contender, ledger)
    idle = contender.process.resident_bytes()
    with row.load.running(contender, 0) as process:
        assert process.stdout is not None
        process.stdout.readline()
        loaded = contender.process.resident_bytes()
        row.load.result(process, contender, ledger)
    each = (loaded - idle) / row.load.connections
    for line, figure in zip(row.lines, (idle / 2**20, loaded / 2**20, each / 2**10), strict=True):
        line.note(contender, figure)


def _cpu(key: str, title: str, target: float | None = None) -> Line:
    return Line(key, title, "CPU µs", "ratio", target)


def _json_row(connections: int, *, postgres: bool = False) -> Row:
    """JSON answers, with the books in a file or on PostgreSQL."""
    on, key = (", PostgreSQL", "-postgres") if postgres else ("", "")
    many = f"{connections} connection{'s' if connections > 1 else ''}"
    number = "" if connections == 64 else f"-{connections}"
    name = f"json{key}{number}".replace("-", "_")
    lines = [
        _cpu(name, f"JSON, {many}{on}", 6 if (connections, postgres) == (64, False) else None),
        Line(f"{name}_latency", "  latency, median", "µs", "difference"),
    ]
    if postgres:
        lines.append(Line(f"{name}_server", "  the database server's part", "CPU µs", "difference"))
    return Row(
        f"json{key}{number}",
        tuple(lines),
        _metered,
        Load(INSTANT, connections, stream=False),
        postgres=postgres,
    )


def rows() -> tuple[Row, ...]:
    """Fresh ones. Memory is the first, while the processes are."""
    return (_memory_row(), *_stream_rows(), *_json_rows(), *_responses_rows())


def _memory_row() -> Row:
    return Row(
        "memory",
        (
            Line("memory_idle", "memory: idle", "MiB", "ratio"),
            Line("memory_open", f"memory: {OPEN_STREAMS} open streams", "MiB", "ratio"),
            Line("memory_stream", "memory: each open stream", "KiB", "ratio"),
        ),
        _memory,
        Load(SLOW, OPEN_STREAMS),
        rounds=1,
    )


def _stream_rows() -> tuple[Row, ...]:
    return (
        Row(
            "first-byte",
            (
                Line("first_byte_p50", "first byte, median", "µs", "difference", target=1000),
                Line("first_byte_p99", "first byte, p99", "µs", "difference"),
            ),
            _first_byte,
            Load(SHORT, 20),
        ),
        Row(
            "paced",
            (
                _cpu("paced_chunk", "paced chunk: 100 streams, one each 20 ms", target=1.7),
                Line("paced_delay", "paced chunk: delay, median", "µs", "difference"),
            ),
            _processor_time,
            Load(PACED, 100),
        ),
        _busy_row("stream", "stream of 100 chunks, 64 connections", Load(INSTANT, 64)),
        _busy_row("bedrock-stream", "bedrock: stream of 100 chunks, 64 conn.", Load(BEDROCK, 64)),
    )


def _busy_row(key: str, title: str, load: Load) -> Row:
    """Processor time of each answer, and nothing else."""
    return Row(key, (_cpu(key.replace("-", "_"), title),), _processor_time, load)


def _json_rows() -> Iterator[Row]:
    for postgres in (False, True):
        for connections in (64, 1, 512):
            yield _json_row(connections, postgres=postgres)
    yield Row(
        "json-token",
        (
            _cpu("json_token", "JSON, 64 connections, signed token"),
            Line("json_token_to_key", "  of one with a key", "%", "difference", target=110),
        ),
        _with_token,
        Load(INSTANT, 64, stream=False),
    )


def _responses_rows() -> Iterator[Row]:
    yield _busy_row(
        "responses-stream", "responses: stream of 100 chunks, 64 conn.", Load(INSTANT, 64, api=RESPONSES)
    )
    whole = Load(INSTANT, 64, stream=False, api=RESPONSES)
    yield _busy_row("responses-json", "responses: JSON, 64 connections", whole)
    few = replace(whole, connections=16)
    for turns in (1, 10, 100):
        line = _cpu(f"responses_{turns}", f"responses: JSON, after {turns}, 16 conn.")
        yield Row(f"responses-{turns}", (line,), _continuing(turns), few)
    line = _cpu("responses_others", f"responses: after 10, {OTHERS:,} others stored")
    yield Row("responses-others", (line,), _continuing(10, OTHERS), few)
