"""Structured logs: one JSON object a line, on standard error. Never prompts, never secrets."""

import logging
import sys
from datetime import UTC, datetime

import msgspec

from quantized.gateway.journal import Journal

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """`extra` fields become fields of the object; a `journal` becomes the object's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        journal = getattr(record, "journal", None)
        if isinstance(journal, Journal):
            fields = ((name, getattr(journal, name)) for name in journal.__struct_fields__)
            line |= {name: value for name, value in fields if value is not None and value is not False}
        else:
            line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


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
