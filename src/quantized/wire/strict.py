"""JSON bytes to one closed struct, or an error that tells the caller which field and what would work.

The way that most requests take is one decode by msgspec. Only a request that fails it is looked at again, by
`diagnosis`, to find out what was meant. Where an object names a key twice, the last one counts.
"""

import re
from typing import Any, Generic, TypeVar

import msgspec

from quantized.core.errors import Fault, InvalidValue, MalformedBody
from quantized.wire.diagnosis import Hints, diagnose

T = TypeVar("T", bound=msgspec.Struct)

MOST_CONTAINERS = 250_000
"""Arrays and objects in one body. Each costs memory out of proportion to its two bytes."""

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AT_BYTE = re.compile(r"^(?:JSON is malformed: )?(?P<what>.*) \(byte (?P<byte>\d+)\)$", re.DOTALL)
_AT_PATH = re.compile(r"^(?P<what>.*) - at (?:.* in )?`\$\.?(?P<path>.*)`$", re.DOTALL)
_NON_FINITE = re.compile(rb"-?(NaN|Infinity)")


class StrictDecoder(Generic[T]):
    """Decodes bodies of one struct type. Make it once: msgspec compiles the type.

    `hints` holds, by struct and field, what to do instead of an unknown or refused field.
    """

    def __init__(self, into: type[T], hints: Hints | None = None) -> None:
        self._type = into
        self._decoder = msgspec.json.Decoder(into)
        self._hints: Hints = {} if hints is None else hints

    def decode(self, body: bytes, depth: int) -> T:
        """The struct that `body` tells; nested at most `depth` arrays and objects deep.

        Raises MalformedBody, UnknownField, MissingField, InvalidValue.
        """
        check_nesting(body, depth)
        try:
            decoded = self._decoder.decode(body)
        except UnicodeDecodeError as error:
            raise _not_utf8(body) from error
        except msgspec.DecodeError as error:
            raise self._explain(body, error) from error
        # msgspec does not look into the strings of Raw fields.
        if not body.isascii():
            try:
                body.decode()
            except UnicodeDecodeError as error:
                raise _not_utf8(body) from error
        return decoded

    def _explain(self, body: bytes, error: msgspec.DecodeError) -> Fault:
        if not isinstance(error, msgspec.ValidationError):
            return _malformed(body, error)
        try:
            value = msgspec.json.decode(body)
        except UnicodeDecodeError:
            return _not_utf8(body)
        except msgspec.ValidationError:
            # A number too large for any plain value: only the typed decode knows where.
            return _as_msgspec_says(error)
        except msgspec.DecodeError as malformed:
            return _malformed(body, malformed)
        return diagnose(value, self._type, self._hints) or _as_msgspec_says(error)


def require_object(raw: msgspec.Raw, path: str) -> None:
    """Raises InvalidValue with `path` unless a Raw field of a decoded body holds an object."""
    _require(_OBJECT, raw, path, "a JSON object")


def require_objects(raw: msgspec.Raw, path: str) -> None:
    """Raises InvalidValue with `path` unless a Raw field of a decoded body holds an array of objects."""
    _require(_OBJECTS, raw, path, "an array of JSON objects")


_OBJECT = msgspec.json.Decoder(dict[str, object])
_OBJECTS = msgspec.json.Decoder(list[dict[str, object]])


def _require(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw, path: str, what: str) -> None:
    try:
        decoder.decode(raw)
    except UnicodeDecodeError as error:
        raise MalformedBody(f"'{path}' is not valid UTF-8.", param=path, code="invalid_utf8") from error
    except msgspec.DecodeError as error:
        raise InvalidValue(
            f"Invalid type for '{path}': expected {what}, with numbers that fit in 64 bits.",
            param=path,
            code="invalid_type",
        ) from error


def check_nesting(body: bytes, depth: int) -> None:
    """Raises MalformedBody for a body that is nested more than `depth` deep or has too many containers."""
    if body.count(b"[") + body.count(b"{") <= depth:
        return
    # In a JSON string every run of backslashes begins with an escape, so pairs may go, then escaped quotes;
    # what stands between the quotes that are left is, every other time, outside of strings.
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    skeleton = b"".join(unescaped.split(b'"')[::2]).translate(_BRACKETS, _NOT_BRACKETS)
    if skeleton.count(b"[") > MOST_CONTAINERS:
        raise MalformedBody(
            f"The body holds more than {MOST_CONTAINERS} arrays and objects.", code="too_many_values"
        )
    for _ in range(depth):
        if not skeleton:
            return
        skeleton = skeleton.replace(b"[]", b"")
    if b"[" in skeleton:
        raise MalformedBody(
            f"The body is nested more than {depth} arrays and objects deep.", code="nested_too_deeply"
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


def _as_msgspec_says(error: msgspec.ValidationError) -> Fault:
    where = _AT_PATH.match(str(error))
    path = where["path"].partition("[...]")[0] if where else ""
    if where is None or not path:
        return InvalidValue(f"Invalid body: {error}.", code="invalid_value")
    return InvalidValue(f"Invalid value for '{path}': {where['what']}.", param=path, code="invalid_value")
