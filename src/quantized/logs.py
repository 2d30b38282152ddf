"""Structured logs: one JSON object a line, on standard error. Never prompts, never secrets."""

import asyncio
import logging
import sys
from datetime import UTC, datetime

import msgspec

from quantized.gateway.journal import Journal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """`extra` fields become fields of the object."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._standing = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._standing,
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


_LINGER_SECONDS = 0.005
_WHOLE_BYTES = 4096
"""Of one write, where several processes write to one pipe: a longer one may be torn apart by another's."""


class RequestLog:
    """A line for each request. Past the logging machinery, which would cost more than the line itself, and
    for all that end within some milliseconds one write, which gives up the interpreter's lock. `flush` when
    no more will come."""

    def __init__(self, level: str, worker: int | None = None) -> None:
        """`worker` names this process, where it is one of several."""
        self._standing = b"" if worker is None else b'"worker":%d,' % worker
        self._alone = worker is None
        threshold = logging.getLevelNamesMapping()[level.upper()]
        self._told = threshold <= logging.INFO
        self._alerts = threshold <= logging.ERROR
        self._stream = sys.stderr.buffer
        self._lines: list[bytes] = []
        self._second = 0
        self._second_text = ""

    def write(self, journal: Journal) -> None:
        """An ended request; as an error where an operator should look. Called within a running loop."""
        if not (self._alerts if journal.alert else self._told):
            return
        time = self._time(journal.started_at + (journal.total_ms or 0))
        level = b"error" if journal.alert else b"info"
        line = b'{"time":"%b","level":"%b","logger":"quantized.request","message":"request",%b%b\n'
        self._lines.append(line % (time, level, self._standing, _encode(journal)[1:]))
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.flush)

    def flush(self) -> None:
        """Writes what there is."""
        lines, self._lines = self._lines, []
        for piece in [b"".join(lines)] if self._alone else _joined(lines):
            self._stream.write(piece)
            self._stream.flush()

    def _time(self, now_ms: int) -> bytes:
        """Written out once a second: the date alone costs as much as the rest of a line."""
        second, ms = divmod(now_ms, 1000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{ms:03}+00:00".encode()


def _joined(lines: list[bytes]) -> list[bytes]:
    """As few pieces as are written whole."""
    pieces = [b""]
    for line in lines:
        if pieces[-1] and len(pieces[-1]) + len(line) > _WHOLE_BYTES:
            pieces.append(line)
        else:
            pieces[-1] += line
    return pieces


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def configure(level: str, worker: int | None = None) -> None:
    """Sends every logger's lines of at least `level` to standard error; `worker` names this process there,
    where it is one of several."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(worker))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # One line a request is ours to write; these would add their own.
    for chatty in ("httpx2", "httpcore2", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
