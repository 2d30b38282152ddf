"""JSON bytes to one closed struct, or an error that tells the caller which field and what would work.

The way that most requests take is one decode by msgspec. Only a request that fails it is looked at again, by
`diagnosis`, to find out what was meant. Where an object names a key twice, the last one counts.

How deep a body can nest is bounded by its type, but for the fields that hold any JSON. Those are `Raw`;
`require_object` and `require_objects` look into them, and count.
"""

import re
from typing import Any, Generic, TypeVar

import msgspec

from quantized.core.errors import Fault, InvalidValue, MalformedBody
from quantized.core.nesting import is_deeper
from quantized.wire.diagnosis import Hints, diagnose

T = TypeVar("T", bound=msgspec.Struct)

MOST_CONTAINERS = 250_000
"""Arrays and objects of free JSON. Each costs memory out of proportion to its two bytes."""

_REPEATED = "something on the way there is given more than once, and not every time with a value that fits"

_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(?P<what>.*) \(byte (?P<byte>\d+)\)$", re.DOTALL)
_AT_PATH = re.compile(r"^.* - at (?:.* in )?`\$\.?(?P<path>.*)`$", re.DOTALL)
_NON_FINITE = re.compile(rb"-?(NaN|Infinity)")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\?\Z)", re.DOTALL)
_PLAIN = msgspec.json.Decoder(float_hook=float)
"""Reads a number that is too large for a float as infinity, which fits nowhere."""
_OBJECT = msgspec.json.Decoder(dict[str, object])
_OBJECTS = msgspec.json.Decoder(list[dict[str, object]])


class StrictDecoder(Generic[T]):
    """Decodes bodies of one struct type. Make it once: msgspec compiles the type.

    `hints` holds, by struct and field, what to do instead of an unknown or refused field.
    """

    def __init__(self, into: type[T], hints: Hints | None = None) -> None:
        self._type = into
        self._decoder = msgspec.json.Decoder(into)
        self._hints: Hints = {} if hints is None else hints

    def decode(self, body: bytes, at: str = "") -> T:
        """Raises MalformedBody, UnknownField, MissingField, InvalidValue.

        `at` is the path of `body` where it is a part of another.
        """
        try:
            decoded = self._decoder.decode(body)
        except UnicodeDecodeError as error:
            raise _not_utf8(body) from error
        except RecursionError as error:
            raise _too_deep(at or None) from error
        except msgspec.DecodeError as error:
            raise self._explain(body, error, at) from error
        # msgspec does not look into the strings of Raw fields.
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError as error:
                raise _not_utf8(body) from error
        return decoded

    def _explain(self, body: bytes, error: msgspec.DecodeError, at: str) -> Fault:
        if not isinstance(error, msgspec.ValidationError):
            return _malformed(body, error)
        path = _path(error, at)
        if _containers(body) > MOST_CONTAINERS:
            return _unfit(path, error)
        try:
            value = _PLAIN.decode(body)
        except UnicodeDecodeError:
            said = _not_utf8(body)
        except RecursionError:
            said = _too_deep_after(path)
        except msgspec.ValidationError:
            # An integer too large for any plain value: what else is wrong can only be told by its place.
            said = _unfit(path, error)
        except msgspec.DecodeError as malformed:
            said = _malformed(body, malformed)
        else:
            found = diagnose(value, self._type, self._hints, near=path, at=at)
            said = found or _unfit(path, error, _REPEATED)
        return said


def require_object(raw: msgspec.Raw, path: str, depth: int) -> None:
    """Raises InvalidValue with `path` unless a Raw field holds an object whose numbers are in range, and
    MalformedBody if that reaches deeper than `depth` arrays and objects, counted from the body's own."""
    _require(_OBJECT, raw, path, depth, "an object")


def require_objects(raw: msgspec.Raw, path: str, depth: int) -> None:
    """As `require_object`, for an array of objects."""
    _require(_OBJECTS, raw, path, depth, "an array of objects")


def _require(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, path: str, depth: int, what: str) -> None:
    containers = _containers(bytes(raw))
    if containers > MOST_CONTAINERS:
        raise MalformedBody(
            f"'{path}' holds more than {MOST_CONTAINERS} arrays and objects.",
            param=path,
            code="too_many_values",
        )
    try:
        value = decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"'{path}' is not valid UTF-8.", param=path, code="invalid_utf8") from error
    except RecursionError as error:
        raise _too_deep(path) from error
    except msgspec.DecodeError as error:
        raise InvalidValue(
            f"Invalid type for '{path}': expected {what}, with numbers that are in range.",
            param=path,
            code="invalid_type",
        ) from error
    left = depth - 1 - path.count(".") - path.count("[")
    if containers > left and is_deeper(value, left):
        raise _too_deep(path)


def _containers(text: bytes) -> int:
    """No fewer arrays and objects than `text` holds; brackets in strings count too."""
    return text.count(b"[") + text.count(b"{")


def _too_deep(path: str | None) -> Fault:
    what = "The body" if path is None else f"'{path}'"
    return MalformedBody(f"{what} is nested too deeply.", param=path, code="nested_too_deeply")


def _too_deep_after(path: str) -> Fault:
    """`path` is where the typed decode stopped: up to there, nothing was too deep."""
    if not path:
        return _too_deep(None)
    return MalformedBody(
        f"The body is nested too deeply, at '{path}' or after it.", param=path, code="nested_too_deeply"
    )


def _not_utf8(body: bytes) -> Fault:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return MalformedBody(f"The body is not valid UTF-8 at byte {error.start}.", code="invalid_utf8")
    raise AssertionError("msgspec refused as UTF-8 what Python accepts")


def _malformed(body: bytes, error: msgspec.DecodeError) -> Fault:
    code = "invalid_json"
    if body.startswith(b"\xef\xbb\xbf"):
        return MalformedBody("The body begins with a byte order mark, which JSON forbids.", code=code)
    if not body.strip():
        return MalformedBody("The body is empty. A JSON object is expected.", code=code)
    where = _AT_BYTE.match(str(error))
    if where is not None:
        at = int(where["byte"])
        found = _NON_FINITE.match(body, at)
        what = f"{found[1].decode()} is no JSON number" if found else where["what"]
    elif (half := _last_half_pair(body)) is not None:
        at, what = half, "a character is escaped as half of a surrogate pair"
    else:
        return MalformedBody("The body is not valid JSON: it ends too early.", code=code)
    before = body[:at]
    line = before.count(b"\n") + 1
    column = at - before.rfind(b"\n")
    return MalformedBody(
        f"The body is not valid JSON: {what} at byte {at} (line {line}, column {column}).", code=code
    )


def _last_half_pair(body: bytes) -> int | None:
    """Where the body's last escape is the first half of a pair and something else than its second half
    follows. The decoder looks for that half beyond the end of the body, and misses the end instead."""
    at = body.rfind(b"\\u")
    before = body[: max(at, 0)]
    escaped = (len(before) - len(before.rstrip(b"\\"))) % 2 == 1
    return None if at < 0 or escaped or not _HALF_PAIR.match(body, at) else at


def _path(error: msgspec.ValidationError, at: str) -> str:
    """Where the typed decode stopped, as far as it knows: it does not name the keys of free objects."""
    where = _AT_PATH.match(str(error))
    inner = where["path"].partition("[...]")[0] if where else ""
    return ".".join(filter(None, (at, inner)))


def _unfit(path: str, error: msgspec.ValidationError, why: str = "it does not fit") -> Fault:
    if "out of range" in str(error):
        why = "it is or holds a number that is out of range"
    message = f"Invalid value for '{path}': {why}." if path else f"Invalid body: {why}."
    return InvalidValue(message, param=path or None, code="invalid_value")
