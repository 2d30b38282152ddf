"""Reading an answer whose fields are not all of the types that they should be.

The answer counts, not what is said beside it: a side field that cannot be read is one that was not said, as
is an empty value of a wrong type (`[]` or `""` for an object, `false` for a text). What the answer is made of
must be readable, or there is none.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import fields

T = TypeVar("T", bound=Struct)

_ANSWER = frozenset(
    (
        "choices",
        "index",
        "delta",
        "message",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "function",
        "name",
        "arguments",
        "images",
        "image_url",
        "url",
        "audio",
        "data",
        "transcript",
        "finish_reason",
        "error",
    )
)
"""The fields without which the rest would be another answer, at any depth."""

_EMPTY = frozenset((b"[]", b"{}", b'""', b"false", b"0"))
_LISTS = (list, Sequence)
_OBJECT = Decoder(dict[str, Raw])
_ELEMENTS = Decoder(list[Raw])


def read_tolerantly(told: str | Raw, kind: type[T]) -> T:
    """Raises DecodeError where `told` is no JSON object or a field of the answer itself cannot be read,
    RecursionError."""
    readers = _readers(kind)
    said: dict[str, Any] = {}
    for name, raw in _OBJECT.decode(told).items():
        if name not in readers:
            continue
        try:
            said[name] = _read(raw, *readers[name])
        except DecodeError:
            if name in _ANSWER and bytes(raw).translate(None, b" \t\r\n") not in _EMPTY:
                raise
    if any(field.required and field.name not in said for field in fields(kind)):
        raise DecodeError(f"not enough for a {kind.__name__}")
    return kind(**said)


def _read(raw: Raw, strict: Decoder[Any], inner: type[Struct] | None, many: bool) -> Any:
    try:
        return strict.decode(raw)
    except DecodeError:
        if inner is None:
            raise
    if many:
        return [read_tolerantly(element, inner) for element in _ELEMENTS.decode(raw)]
    return read_tolerantly(raw, inner)


@cache
def _readers(kind: type[Struct]) -> dict[str, tuple[Decoder[Any], type[Struct] | None, bool]]:
    """By field: its decoder, the kind of object that it is or holds, and whether it holds many."""
    return {field.encode_name: (Decoder(field.type), *_inner(field.type)) for field in fields(kind)}


def _inner(annotation: Any) -> tuple[type[Struct] | None, bool]:
    for one in get_args(annotation) or (annotation,):
        many = get_origin(one) in _LISTS
        element = get_args(one)[0] if many else one
        if isinstance(element, type) and issubclass(element, Struct):
            return element, many
    return None, False
