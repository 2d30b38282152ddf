"""Several prepared statements in one round trip, at a fraction of what the driver's cursors cost.

The connection is the driver's; what is sent over it are libpq's own calls in pipeline mode. A hundred values
travel as one JSON text, so that the interpreter touches none of them.
"""

import select
from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.pq.abc import PGresult

from quantized.storage.postgres import PostgresConnection

Value = bytes | None


class Statement(NamedTuple):
    """SQL under the name by which a connection keeps it. Parameters at the places in `binary` (from 0) are
    sent in the binary format, the others as text."""

    name: bytes
    sql: bytes
    binary: frozenset[int] = frozenset()


class Step(NamedTuple):
    """One execution of a statement."""

    statement: Statement
    values: Sequence[Value] = ()


class Pipeline:
    """Takes over a connection in autocommit mode. One thread at a time."""

    def __init__(self, connection: PostgresConnection, wait_seconds: float) -> None:
        """`wait_seconds`: how long the server may say nothing before it is given up."""
        self._connection = connection
        self._wait_ms = wait_seconds * 1000
        self._libpq = connection.pgconn
        self._libpq.nonblocking = 1
        self._libpq.enter_pipeline_mode()
        self._socket = select.poll()
        self._prepared: set[bytes] = set()
        self._broken = False

    def run(self, steps: Sequence[Step], wait_seconds: float | None = None) -> list[PGresult]:
        """The results of all steps, which are one transaction unless they begin one themselves. They may be
        given more time than any other.

        Raises the psycopg.Error of the first that failed, and psycopg.OperationalError when the server is
        gone or silent; then nobody knows what it did, and the pipeline is not `alive` any more.
        """
        if self._broken:
            raise psycopg.OperationalError("the connection is not usable any more")
        self._broken = True
        unprepared = {s.statement.name: s.statement for s in steps if s.statement.name not in self._prepared}
        for statement in unprepared.values():
            self._libpq.send_prepare(statement.name, statement.sql)
        for statement, values in steps:
            formats = None
            if statement.binary:
                formats = [
                    Format.BINARY if n in statement.binary else Format.TEXT for n in range(len(values))
                ]
            self._libpq.send_query_prepared(statement.name, values, formats)
        self._libpq.pipeline_sync()
        wait_ms = self._wait_ms if wait_seconds is None else wait_seconds * 1000
        self._send(wait_ms)
        results, failure = self._receive(wait_ms)
        self._broken = False
        if len(results) >= len(unprepared):
            self._prepared |= unprepared.keys()
        if failure is not None:
            raise failure
        return results[len(unprepared) :]

    def alive(self) -> bool:
        """False once the server has ended the connection, or an answer may still come that nobody waits
        for."""
        try:
            while not self._broken and self._ready(select.POLLIN, 0):
                self._libpq.consume_input()
        except psycopg.OperationalError:
            self._broken = True
        return not self._broken

    def close(self) -> None:
        self._connection.close()

    def _send(self, wait_ms: float) -> None:
        while self._libpq.flush():
            # The server may be unable to read on before its answers have been read.
            if self._wait(select.POLLIN | select.POLLOUT, wait_ms) & select.POLLIN:
                self._libpq.consume_input()

    def _receive(self, wait_ms: float) -> tuple[list[PGresult], psycopg.Error | None]:
        """The results up to the first failure, and that."""
        results: list[PGresult] = []
        failure: psycopg.Error | None = None
        while True:
            while self._libpq.is_busy():
                self._wait(select.POLLIN, wait_ms)
                self._libpq.consume_input()
            result = self._libpq.get_result()
            if result is None:
                if self._libpq.status != ConnStatus.OK:
                    raise failure or psycopg.OperationalError("the connection is lost")
                continue
            match result.status:
                case ExecStatus.PIPELINE_SYNC:
                    return results, failure
                case ExecStatus.COMMAND_OK | ExecStatus.TUPLES_OK:
                    results.append(result)
                case ExecStatus.PIPELINE_ABORTED:
                    pass
                case _:
                    failure = failure or error_from_result(result)

    def _wait(self, events: int, wait_ms: float) -> int:
        ready = self._ready(events, wait_ms)
        if not ready:
            raise psycopg.OperationalError("the server does not answer")
        return ready

    def _ready(self, events: int, wait_ms: float) -> int:
        self._socket.register(self._libpq.socket, events)
        found = self._socket.poll(wait_ms)
        return found[0][1] if found else 0
