"""Structured logs: one JSON object a line, on standard error. Never prompts, never secrets."""

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


class RequestLog:
    """A line for each request. Past the logging machinery, which would cost more than the line itself."""

    def __init__(self, level: str) -> None:
        threshold = logging.getLevelNamesMapping()[level.upper()]
        self._told = threshold <= logging.INFO
        self._alerts = threshold <= logging.ERROR
        self._stream = sys.stderr.buffer

    def write(self, journal: Journal) -> None:
        """An ended request; as an error where an operator should look."""
        if not (self._alerts if journal.alert else self._told):
            return
        line: dict[str, object] = {
            "time": _time((journal.started_at + (journal.total_ms or 0)) / 1000),
            "level": "error" if journal.alert else "info",
            "logger": "quantized.request",
            "message": "request",
        }
        self._stream.write(_encode(line)[:-1] + b"," + _encode(journal)[1:] + b"\n")
        self._stream.flush()


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
