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

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


_LINGER_SECONDS = 0.005


class RequestLog:
    """A line for each request. Past the logging machinery, which would cost more than the line itself, and
    for all that end within some milliseconds one write, which gives up the interpreter's lock. `flush` when
    no more will come."""

    def __init__(self, level: str) -> None:
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
        line = b'{"time":"%b","level":"%b","logger":"quantized.request","message":"request",%b\n'
        self._lines.append(line % (time, level, _encode(journal)[1:]))
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_later(_LINGER_SECONDS, self.flush)

    def flush(self) -> None:
        """Writes what there is."""
        lines, self._lines = self._lines, []
        self._stream.write(b"".join(lines))
        self._stream.flush()

    def _time(self, now_ms: int) -> bytes:
        """Written out once a second: the date alone costs as much as the rest of a line."""
        second, ms = divmod(now_ms, 1000)
        if second != self._second:
            self._second = second
            self._second_text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._second_text}.{ms:03}+00:00".encode()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def configure(level: str) -> None:
    """Sends every logger's lines of at least `level` to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # One line a request is ours to write; these would add their own.
    for chatty in ("httpx2", "httpcore2", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
