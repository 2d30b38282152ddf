"""A request to the verb that it says: path, query and body, each as strictly as the verb's fields are."""

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from json import loads
from typing import Any

from msgspec import Struct, inspect, json

from quantized.administration.endpoints import Endpoint
from quantized.administration.faults import NotThere, Unfit
from quantized.administration.verbs import Verb
from quantized.core.errors import InvalidValue, UnknownField
from quantized.wire.strict import StrictDecoder

FORMAT = "format"
"""The query parameter that asks for a table; no verb has it."""

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_PATH_REFERENCE = re.compile(r"[!-.0-~]{1,200}")
_BOOLEANS = {"true": True, "false": False}


class Reading:
    """Reads requests to one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._decoder: StrictDecoder[Struct] = StrictDecoder(endpoint.rest)

    def from_query(self, in_path: Mapping[str, str], query: Iterable[tuple[str, str]]) -> Verb[Any]:
        """Of a GET. Raises InvalidRequest, NotThere."""
        found: dict[str, object] = {}
        for name, text in query:
            if name in found:
                raise _repeated(name)
            found[name] = self._value(name, text)
        return self.from_body(in_path, json.encode(found))

    def from_body(self, in_path: Mapping[str, str], body: bytes) -> Verb[Any]:
        """Of all others; no body is an empty object. Raises InvalidRequest, NotThere."""
        for name, reference in in_path.items():
            if not _PATH_REFERENCE.fullmatch(reference):
                raise NotThere(name.replace("_", " "), reference.encode("ascii", "replace").decode())
        body = body.strip() or b"{}"
        rest = self._decoder.decode(body)
        # Of what fits, so that whatever else is wrong is told first; the decoder takes the last one.
        loads(body, object_pairs_hook=_once)
        return self.endpoint.said(in_path, rest)

    def _value(self, name: str, text: str) -> object:
        """As JSON would say it, where the field is no text."""
        match self._kinds.get(name):
            case inspect.IntType() if _INTEGER.fullmatch(text):
                return int(text)
            case inspect.BoolType():
                return _BOOLEANS.get(text, text)
            case _:
                return text

    @cached_property
    def _kinds(self) -> Mapping[str, inspect.Type]:
        info = inspect.type_info(self.endpoint.rest)
        if not isinstance(info, inspect.StructType):
            raise TypeError("a verb is a struct")
        return {field.encode_name: _bare(field.type) for field in info.fields}


def _once(members: list[tuple[str, object]]) -> None:
    """Raises InvalidValue for the name of a member that an object has twice."""
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            raise _repeated(name)
        seen.add(name)


def _repeated(name: str) -> InvalidValue:
    return InvalidValue(f"'{name[:64]}' is given more than once.", param=name[:64], code="repeated")


def _bare(node: inspect.Type) -> inspect.Type:
    """A type without null and without what is said about it."""
    match node:
        case inspect.Metadata(type=inner):
            return _bare(inner)
        case inspect.UnionType(types=types):
            return next(_bare(inner) for inner in types if not isinstance(inner, inspect.NoneType))
        case _:
            return node


def wants_csv(endpoint: Endpoint, query: list[tuple[str, str]]) -> bool:
    """Whether a table is asked for; takes the parameter away. Raises InvalidRequest."""
    asked = [text for name, text in query if name == FORMAT]
    if not (asked and endpoint.has_csv):
        return False
    query[:] = [(name, text) for name, text in query if name != FORMAT]
    if asked not in (["csv"], ["json"]):
        raise Unfit(FORMAT, "expected 'json' or 'csv', once")
    if asked == ["csv"]:
        for name, _ in query:
            if name in ("limit", "cursor"):
                raise Unfit(name, "a table has all that there is; ask for pages with format=json")
    return asked == ["csv"]


def refuse_query(query: Iterable[tuple[str, str]]) -> None:
    """Raises UnknownField: what is to change is said in the body."""
    for name, _ in query:
        raise UnknownField(
            f"Unknown query parameter '{name[:64]}': say it in the body.",
            param=name[:64],
            code="unknown_parameter",
        )
