"""What people type: credits, factors, moments, names. Each is judged as strictly as a setting."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

import click
from msgspec import Struct

from quantized.settings_schema import MARKUP, MODEL_ID, RETENTION_DAYS
from quantized.settings_values import Kind, Unfit, integer, scaled, text

_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-.*")


class Judged(click.ParamType[Any]):
    """An argument that a setting's kind judges."""

    def __init__(self, name: str, kind: Kind) -> None:
        self.name = name
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._kind.accept(self._kind.from_text(value))
        except Unfit as unfit:
            self.fail(f"{value!r}: {str(unfit) or f'must be {self._kind.wants}'}", param, ctx)


class Span(click.ParamType[int]):
    """A length of time, kept in milliseconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        span = parse_span(value)
        if span is None:
            self.fail(f"{value!r} is no length of time; write 30d, 12h, 15m or 45s", param, ctx)
        return span


class Moment(Struct, frozen=True):
    """A moment (Unix milliseconds), or a distance from now in milliseconds. Of a day, both ends are known."""

    begins: int | None = None
    ends: int | None = None
    span: int | None = None

    def ahead(self, now: int) -> int:
        """A distance lies in the future; a day counts whole."""
        return now + self.span if self.span is not None else self.ends or 0

    def back_to_begin(self, now: int) -> int:
        """A distance lies in the past; a day counts from its beginning."""
        return now - self.span if self.span is not None else self.begins or 0

    def back_to_end(self, now: int) -> int:
        """A distance lies in the past; a day counts whole."""
        return now - self.span if self.span is not None else self.ends or 0


class MomentType(click.ParamType[Moment]):
    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        moment = parse_moment(value)
        if moment is None:
            self.fail(
                f"{value!r} is no moment; write a date (2026-01-31), a time (2026-01-31T12:00Z) or a length "
                "of time (30d, 12h); without a zone it is UTC",
                param,
                ctx,
            )
        return moment


class ExpiryType(click.ParamType[Moment | Literal["none"]]):
    """A moment, or the word `none`."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Moment | Literal["none"]:
        return "none" if value == "none" else MOMENT.convert(value, param, ctx)


def parse_span(value: str) -> int | None:
    match = _SPAN.fullmatch(value)
    return int(match[1]) * _UNITS[match[2]] if match else None


def parse_moment(value: str) -> Moment | None:
    span = parse_span(value)
    if span is not None:
        return Moment(span=span)
    try:
        read = datetime.fromisoformat(value)
        moment = read if read.tzinfo else read.replace(tzinfo=UTC)
        begins = _unix_ms(moment)
        whole_day = read.time() == time() and "T" not in value and " " not in value
        return Moment(begins, _unix_ms(moment + timedelta(days=1)) if whole_day else begins)
    except (ValueError, OverflowError):
        return None


def _unix_ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _accept_alias(found: object) -> Any:
    if isinstance(found, str) and _UUID.fullmatch(found):
        raise Unfit("must not look like an id")
    return _plain_alias.accept(found)


def _accept_days(found: object) -> Any:
    return found if found == "default" else RETENTION_DAYS.accept(found)


def _or_none(kind: Kind) -> Kind:
    """Also the word `none`."""

    def accept(found: object) -> Any:
        return found if found == "none" else kind.accept(found)

    def from_text(value: str) -> object:
        return value if value == "none" else kind.from_text(value)

    return Kind(f"{kind.wants}, or 'none'", accept, from_text)


_plain_alias = text("an alias of lower-case letters, digits, ., _ and -", r"[a-z0-9][a-z0-9._-]{0,63}")

ALIAS = Judged("alias", Kind(_plain_alias.wants, _accept_alias))
UNIQUE_ID = Judged("id", text("1 to 200 printable characters without spaces", r"[!-~]{1,200}"))
NAME = Judged("name", text("1 to 200 printable characters", r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,200}"))
_credits = scaled("credits above 0, with 6 decimals at most", 6, 10**9, zero=False)
CREDITS = Judged("credits", _credits)
TOKEN_ALLOWANCE = Judged("credits", _or_none(_credits))
_share = scaled("credits, with 6 decimals at most", 6, 10**9)
SHARE = Judged("credits", _share)
USER_ALLOWANCE = Judged("credits", _or_none(_share))
LIMIT = Judged("count", _or_none(integer(1, 2**31 - 1)))
PROVIDER_PATTERN = Judged(
    "provider", text("a provider's name, or a pattern of names", r"[a-z0-9_.*?-]{1,64}")
)
RETENTION = Judged(
    "days", Kind(f"{RETENTION_DAYS.wants}, or 'default'", _accept_days, RETENTION_DAYS.from_text)
)
FACTOR = Judged("factor", MARKUP)
MODEL_PATTERN = Judged("pattern", text("a model's name, or a pattern of names", MODEL_ID.pattern))
SPAN = Span()
MOMENT = MomentType()
EXPIRY = ExpiryType()
