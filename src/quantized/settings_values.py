"""How one configured value is judged, and where what is wrong with it gets written down.

A value comes from `quantized.toml` (already typed, numbers exact) or from an environment variable (text,
first turned into what the file would hold). Either way one `Kind` judges it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN = re.compile(r"[!-~]+")
_LONGEST_TEXT = 2_048
_LONGEST_ECHO = 60
_MOST_DIGITS = 60


class Unfit(Exception):
    """The value is not of its kind. The message, if there is one, replaces the kind's own words."""


@dataclass(frozen=True)
class Kind:
    """`wants` completes "must be …". `accept` gives the value to keep or raises Unfit. `from_text` turns a
    variable's text into what the file would hold. What is `quiet` may be a secret and is never repeated."""

    wants: str
    accept: Callable[[object], Any]
    from_text: Callable[[str], object] = str
    quiet: bool = False


class Mistakes:
    """Everything found wrong so far: (place, what is wrong and what would work)."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def add(self, place: str, what: str) -> None:
        self.found.append((place, what))

    def unknown(self, place: str, kind: str, name: str, known: Iterable[str]) -> None:
        """Note that `name` is none of `known`, with the nearest that is."""
        names = sorted(known)
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        if near:
            hint = f"; did you mean {near[0]}?"
        elif names:
            hint = f"; known are {', '.join(names)}"
        else:
            hint = ""
        self.add(place, f"unknown {kind}{hint}")

    def judge(self, place: str, kind: Kind, found: object) -> Any:
        """What `kind` makes of `found`, or None once the mistake is noted."""
        try:
            return kind.accept(found)
        except Unfit as unfit:
            wants = str(unfit) or f"must be {kind.wants}"
            self.add(place, wants if kind.quiet else f"{wants}, not {echo(found)}")
            return None


def echo(found: object) -> str:
    """What was found, in one short line of printable characters."""
    match found:
        case bool():
            return str(found).lower()
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            shown = repr(found[: _LONGEST_ECHO + 1])
        case _:
            shown = str(found)
    return shown if len(shown) <= _LONGEST_ECHO else f"{shown[:_LONGEST_ECHO]}…"


def shown_key(key: str) -> str:
    """A key about as TOML writes it: bare where it can be, printable and of bounded length always."""
    shown = key if len(key) <= _LONGEST_ECHO else f"{key[:_LONGEST_ECHO]}…"
    return shown if _BARE_KEY.fullmatch(shown) else f'"{repr(shown)[1:-1]}"'


def integer(low: int, high: int) -> Kind:
    def accept(found: object) -> int:
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise Unfit
        return found

    def from_text(text: str) -> object:
        return int(text) if _INTEGER.fullmatch(text) else text

    return Kind(f"an integer from {low} to {high}", accept, from_text)


def integer_or(word: str, low: int, high: int) -> Kind:
    """An integer, or a word that stands for one."""
    number = integer(low, high)

    def accept(found: object) -> Any:
        return found if found == word else number.accept(found)

    return Kind(f"{number.wants}, or {word}", accept, number.from_text)


def decimal_from_text(text: str) -> object:
    """A Decimal where the text is one, otherwise the text itself."""
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def parse_toml_float(text: str) -> Decimal:
    """For `tomllib`: a float's text, kept exact. Raises ValueError, as `tomllib` expects."""
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError("a number's exponent is too large") from error


def decimal_within(found: object, low: int, high: int) -> Decimal:
    """`found` as a Decimal from `low` to `high`, of a size that is safe to reckon with. Raises Unfit."""
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        raise Unfit
    if isinstance(found, Decimal) and not found.is_finite():
        raise Unfit
    if not low <= found <= high:
        raise Unfit
    value = Decimal(found)
    _, digits, exponent = value.as_tuple()
    if len(digits) > _MOST_DIGITS or abs(int(exponent)) > _MOST_DIGITS:
        raise Unfit
    return value


def seconds(high: int, *, zero: bool = False) -> Kind:
    """Kept as a float."""

    def accept(found: object) -> float:
        value = float(decimal_within(found, 0, high))
        if value == 0 and not zero:
            raise Unfit
        return value

    lowest = "from 0" if zero else "above 0"
    return Kind(f"a number of seconds {lowest} and up to {high}", accept, decimal_from_text)


def scaled(wants: str, power: int, high: int, *, zero: bool = True) -> Kind:
    """A decimal that is kept as an integer of 10^-power, exactly or not at all."""

    def accept(found: object) -> int:
        value = decimal_within(found, 0, high)
        # Decimal's own arithmetic rounds to its context's precision; integers do not.
        _, digits, exponent = value.as_tuple()
        shift = power + int(exponent)
        coefficient = int("".join(map(str, digits)) or "0")
        if shift < 0 and coefficient % 10**-shift:
            raise Unfit(f"must have at most {power} decimals")
        units: int = coefficient * 10**shift if shift >= 0 else coefficient // 10**-shift
        if units == 0 and not zero:
            raise Unfit
        return units

    return Kind(wants, accept, decimal_from_text)


def _accept_boolean(found: object) -> bool:
    if not isinstance(found, bool):
        raise Unfit
    return found


def _boolean_from_text(text: str) -> object:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


boolean = Kind("true or false", _accept_boolean, _boolean_from_text)


def choice(*options: str) -> Kind:
    def accept(found: object) -> str:
        if not isinstance(found, str) or found not in options:
            raise Unfit
        return found

    return Kind(f"one of {', '.join(options)}", accept)


def text(wants: str, pattern: str, *, quiet: bool = False) -> Kind:
    """A string that `pattern` matches whole."""
    compiled = re.compile(pattern)

    def accept(found: object) -> str:
        if not isinstance(found, str) or len(found) > _LONGEST_TEXT or not compiled.fullmatch(found):
            raise Unfit
        return found

    return Kind(wants, accept, quiet=quiet)


def texts(wants: str, one: Callable[[str], bool]) -> Kind:
    """A list of strings, kept as a tuple; a variable holds them with commas between."""

    def accept(found: object) -> tuple[str, ...]:
        if not isinstance(found, list):
            raise Unfit
        for item in found:
            if not isinstance(item, str) or not one(item):
                raise Unfit(f"must be {wants}; {echo(item)} is none")
        return tuple(found)

    def from_text(value: str) -> object:
        return [item.strip() for item in value.split(",")] if value.strip() else []

    return Kind(wants, accept, from_text)


def _accept_base_url(found: object) -> str:
    if not isinstance(found, str) or len(found) > _LONGEST_TEXT or not _PLAIN.fullmatch(found):
        raise Unfit
    try:
        parts = urlsplit(found)
        port_is_usable = parts.port != 0
    except ValueError:
        raise Unfit from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_usable:
        raise Unfit
    if "@" in parts.netloc:
        raise Unfit("must not hold credentials; name the key's variable in api_key_env instead")
    if "?" in found or "#" in found:
        raise Unfit("must not hold a query or a fragment")
    return found


base_url = Kind("an absolute http:// or https:// address", _accept_base_url, quiet=True)


def is_origin(item: str) -> bool:
    """Whether `item` is what a browser sends as Origin (scheme, host, port), or `*` for all of them."""
    if item == "*":
        return True
    try:
        parts = urlsplit(item)
        port_is_usable = parts.port != 0
    except ValueError:
        return False
    scheme_and_host = f"{parts.scheme}://{parts.netloc}"
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port_is_usable
        and "@" not in parts.netloc
        and item == scheme_and_host
        and _PLAIN.fullmatch(item) is not None
    )


def _accept_object(found: object) -> str:
    if not isinstance(found, dict) or not found:
        raise Unfit
    try:
        written = json.dumps(found)
    except TypeError:
        raise Unfit from None
    if len(written) > _LONGEST_TEXT:
        raise Unfit
    return written


json_object = Kind("a table of text, integers, true and false, and of such tables and lists", _accept_object)
"""Kept as JSON text."""


def table(mistakes: Mistakes, place: str, found: object) -> Mapping[str, object]:
    """`found` as a table; an empty one once the mistake is noted."""
    if isinstance(found, dict):
        return found
    mistakes.add(place, f"must be a table, not {echo(found)}")
    return {}
