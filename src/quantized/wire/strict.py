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
from quantized.wire.diagnosis import Hints, diagnose

T = TypeVar("T", bound=msgspec.Struct)

MOST_CONTAINERS = 250_000
"""Arrays and objects of free JSON. Each costs memory out of proportion to its two bytes."""

_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(?P<what>.*) \(byte (?P<byte>\d+)\)$", re.DOTALL)
_AT_PATH = re.compile(r"^(?P<what>.*) - at (?:.* in )?`\$\.?(?P<path>.*)`$", re.DOTALL)
_NON_FINITE = re.compile(rb"-?(NaN|Infinity)")
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
        said = _as_msgspec_says(error, at)
        if _containers(body) > MOST_CONTAINERS:
            return said
        try:
            value = msgspec.json.decode(body)
        except UnicodeDecodeError:
            said = _not_utf8(body)
        except RecursionError:
            said = _too_deep(at or None)
        except msgspec.ValidationError:
            # A number too large for any plain value: only the typed decode knows where.
            pass
        except msgspec.DecodeError as malformed:
            said = _malformed(body, malformed)
        else:
            said = diagnose(value, self._type, self._hints, near=said.param or "", at=at) or said
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
    if containers > left and _is_deeper(value, left):
        raise _too_deep(path)


def _is_deeper(value: object, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (
                outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
            )
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _containers(text: bytes) -> int:
    """No fewer arrays and objects than `text` holds; brackets in strings count too."""
    return text.count(b"[") + text.count(b"{")


def _too_deep(path: str | None) -> Fault:
    what = "The body" if path is None else f"'{path}'"
    return MalformedBody(f"{what} is nested too deeply.", param=path, code="nested_too_deeply")


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
    if where is None:
        return MalformedBody("The body is not valid JSON: it ends too early.", code=code)
    at = int(where["byte"])
    if found := _NON_FINITE.match(body, at):
        what = f"{found[1].decode()} is no JSON number"
    else:
        what = where["what"]
    before = body[:at]
    line = before.count(b"\n") + 1
    column = at - before.rfind(b"\n")
    return MalformedBody(
        f"The body is not valid JSON: {what} at byte {at} (line {line}, column {column}).", code=code
    )


def _as_msgspec_says(error: msgspec.ValidationError, at: str) -> Fault:
    where = _AT_PATH.match(str(error))
    inner = where["path"].partition("[...]")[0] if where else ""
    path = ".".join(filter(None, (at, inner)))
    if not path:
        return InvalidValue(f"Invalid body: {error}.", code="invalid_value")
    what = where["what"] if where else error
    return InvalidValue(f"Invalid value for '{path}': {what}.", param=path, code="invalid_value")
