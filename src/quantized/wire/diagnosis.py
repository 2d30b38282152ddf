"""What is wrong with a value that does not fit its type, in words that help.

Walks the value along the type, taking the branch of each union that was meant, and stops at the first field
that does not fit. Slow and careful: only for requests that have already failed.
"""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache

from msgspec import Struct, inspect

from quantized.core.errors import InvalidRequest, InvalidValue, MissingField, UnknownField

Hints = Mapping[tuple[type[Struct], str], str]
"""By struct and field: a sentence that says what to do instead."""

_NO_NEWLINE = r"(?!\n)"
"""What a pattern carries because Python's `$` matches before a last newline too; nobody need read it."""
_MOST_LISTED = 12
_MOST_SHOWN = 40
_CONSTANTS = {None: "null", True: "true", False: "false"}


def diagnose(
    value: object, into: type[Struct], hints: Hints, near: str = "", at: str = ""
) -> InvalidRequest | None:
    """The first thing that keeps `value` (plain JSON data) from being an `into`; None if nothing does.

    `at` is the path of `value` itself where it is a part of something larger.
    `near` is the path of a place that is known not to fit: in arrays on the way there, the items before the
    one that leads there are not looked at.
    """
    return _Walk(hints, near).check(value, _type_info(into), at)


@cache
def _type_info(into: type[Struct]) -> inspect.Type:
    return inspect.type_info(into)


class _Walk:
    def __init__(self, hints: Hints, near: str) -> None:
        self._hints = hints
        self._near = near

    def check(self, value: object, node: inspect.Type, path: str, hint: str = "") -> InvalidRequest | None:
        branches = _branches(node)
        fitting = [branch for branch in branches if _kind_fits(value, branch)]
        if not fitting:
            return _wrong_type(value, branches, path, hint)
        structs = [branch for branch in fitting if isinstance(branch, inspect.StructType)]
        if len(structs) > 1 or (structs and structs[0].tag is not None):
            return self._check_tagged(_as_object(value), structs, path)
        return self._check_one(value, fitting[0], branches, path)

    def _check_one(
        self, value: object, node: inspect.Type, branches: list[inspect.Type], path: str
    ) -> InvalidRequest | None:
        match node:
            case inspect.StructType():
                return self._check_struct(_as_object(value), node, path)
            case inspect.DictType():
                return self._check_dict(_as_object(value), node, path)
            case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
                return self._check_array(value, node, item, path)
            case inspect.LiteralType(values=known) if value not in known:
                return _not_listed(str(value), [str(one) for one in known], branches, path)
            case inspect.StrType() | inspect.IntType() | inspect.FloatType() if not _in_range(value, node):
                return _out_of_range(value, branches, path)
            case _:
                return None

    def _check_tagged(
        self, value: Mapping[str, object], structs: list[inspect.StructType], path: str
    ) -> InvalidRequest | None:
        field = str(structs[0].tag_field)
        known = {str(struct.tag): struct for struct in structs}
        tag_path = _join(path, field)
        if field not in value:
            return _missing(tag_path, f"expected {_either(_quoted(known))}")
        tag = value[field]
        if not isinstance(tag, str):
            return InvalidValue(
                f"Invalid type for '{tag_path}': expected {_either(_quoted(known))}, found {_found(tag)}.",
                param=tag_path,
                code="invalid_type",
            )
        if tag not in known:
            hint = self._hints.get((structs[0].cls, f"{field}={tag}"), "")
            return _not_listed(tag, list(known), [inspect.LiteralType(tuple(known))], tag_path, hint)
        return self._check_struct(value, known[tag], path)

    def _check_struct(
        self, value: Mapping[str, object], node: inspect.StructType, path: str
    ) -> InvalidRequest | None:
        fields = {field.encode_name: field for field in node.fields}
        names = [*([node.tag_field] if node.tag_field else []), *fields]
        for name in value:
            if name not in names:
                return self._unknown(name, names, node.cls, path)
        for name, inner in value.items():
            if name in fields:
                hint = self._hints.get((node.cls, name), "")
                if wrong := self.check(inner, fields[name].type, _join(path, name), hint):
                    return wrong
        for name, field in fields.items():
            if field.required and name not in value:
                return _missing(_join(path, name), f"expected {_describe(_branches(field.type))}")
        return None

    def _unknown(self, name: str, names: list[str], owner: type[Struct], path: str) -> InvalidRequest:
        full = _join(path, name[:64])
        message = f"Unknown field '{full}'."
        if hint := self._hints.get((owner, name)):
            message += f" {hint}"
        elif near := difflib.get_close_matches(name[:64], names, n=1):
            message += f" Did you mean '{near[0]}'?"
        elif len(names) <= _MOST_LISTED:
            message += f" Known fields here: {', '.join(names)}."
        return UnknownField(message, param=full, code="unknown_parameter")

    def _check_dict(
        self, value: Mapping[str, object], node: inspect.DictType, path: str
    ) -> InvalidRequest | None:
        if not _length_fits(len(value), node.min_length, node.max_length):
            return InvalidValue(
                f"Invalid value for '{path}': expected an object with at most {node.max_length} entries, "
                f"found {len(value)}.",
                param=path,
                code="invalid_value",
            )
        for name, inner in value.items():
            inner_path = _join(path, name[:64])
            for key in _branches(node.key_type):
                if not _in_range(name, key):
                    return InvalidValue(
                        f"Invalid key in '{path}': expected {_describe([key])}, found {_found(name)}.",
                        param=inner_path,
                        code="invalid_value",
                    )
            if wrong := self.check(inner, node.value_type, inner_path):
                return wrong
        return None

    def _check_array(
        self,
        value: object,
        node: inspect.ListType | inspect.VarTupleType,
        item: inspect.Type,
        path: str,
    ) -> InvalidRequest | None:
        items = value if isinstance(value, list) else []
        if not _length_fits(len(items), node.min_length, node.max_length):
            return InvalidValue(
                f"Invalid value for '{path}': expected {_describe([node])}, found {len(items)} items.",
                param=path,
                code="invalid_value",
            )
        leading = re.match(rf"{re.escape(path)}\[(\d+)\]", self._near)
        first = int(leading[1]) if leading else 0
        for at in range(first, len(items)):
            if wrong := self.check(items[at], item, f"{path}[{at}]"):
                return wrong
        return None


def _branches(node: inspect.Type) -> list[inspect.Type]:
    """The alternatives of a type, each bare."""
    match node:
        case inspect.Metadata(type=inner):
            return _branches(inner)
        case inspect.UnionType(types=types):
            return [branch for inner in types for branch in _branches(inner)]
        case _:
            return [node]


_KINDS: Mapping[type[inspect.Type], tuple[type, ...]] = {
    inspect.NoneType: (type(None),),
    inspect.BoolType: (bool,),
    inspect.IntType: (int,),
    inspect.FloatType: (int, float),
    inspect.StrType: (str,),
    inspect.LiteralType: (str,),
    inspect.StructType: (dict,),
    inspect.DictType: (dict,),
    inspect.ListType: (list,),
    inspect.VarTupleType: (list,),
    inspect.AnyType: (type(None), bool, int, float, str, dict, list),
    inspect.RawType: (type(None), bool, int, float, str, dict, list),
}
"""Which kinds of JSON data a type takes, as Python's exact types: a bool is no number."""


def _kind_fits(value: object, node: inspect.Type) -> bool:
    return type(value) in _KINDS[type(node)]


def _in_range(value: object, node: inspect.Type) -> bool:
    match node:
        case inspect.StrType(min_length=least, max_length=most, pattern=pattern) if isinstance(value, str):
            return _length_fits(len(value), least, most) and (
                pattern is None or re.search(pattern, value) is not None
            )
        case inspect.IntType() | inspect.FloatType() if isinstance(value, int | float):
            return (
                (node.gt is None or value > node.gt)
                and (node.ge is None or value >= node.ge)
                and (node.lt is None or value < node.lt)
                and (node.le is None or value <= node.le)
            )
        case _:
            return True


def _length_fits(length: int, least: int | None, most: int | None) -> bool:
    return (least is None or length >= least) and (most is None or length <= most)


def _wrong_type(value: object, branches: list[inspect.Type], path: str, hint: str) -> InvalidRequest:
    expected = f"expected {_describe(branches)}, found {_found(value)}."
    if not path:
        return InvalidValue(f"Invalid body: {expected}", code="invalid_type")
    message = f"Invalid type for '{path}': {expected}"
    return InvalidValue(f"{message} {hint}" if hint else message, param=path, code="invalid_type")


def _out_of_range(value: object, branches: list[inspect.Type], path: str) -> InvalidRequest:
    return InvalidValue(
        f"Invalid value for '{path}': expected {_describe(branches)}, found {_found(value)}.",
        param=path,
        code="invalid_value",
    )


def _not_listed(
    value: str, known: list[str], branches: list[inspect.Type], path: str, hint: str = ""
) -> InvalidRequest:
    message = f"Invalid value for '{path}': expected {_describe(branches)}, found {_found(value)}."
    if hint:
        message += f" {hint}"
    elif near := difflib.get_close_matches(value[:64], known, n=1):
        message += f" Did you mean '{near[0]}'?"
    return InvalidValue(message, param=path, code="invalid_value")


def _missing(path: str, expected: str) -> InvalidRequest:
    return MissingField(
        f"Missing required field '{path}': {expected}.", param=path, code="missing_required_parameter"
    )


def _as_object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _found(value: object) -> str:
    """Its kind, and for a scalar its beginning: never a long text that somebody may log."""
    match value:
        case None | bool():
            return _CONSTANTS[value]
        case str():
            shown = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…"
            return f"the string '{shown}'"
        case float() if math.isinf(value):
            return "a number too large to read"
        case int() | float():
            shown = str(value)
            return f"the number {shown if len(shown) <= _MOST_SHOWN else shown[:_MOST_SHOWN] + '…'}"
        case list():
            return "an array"
        case _:
            return "an object"


def _describe(branches: Iterable[inspect.Type]) -> str:
    """What would work. `null` is only worth a word where nothing else does."""
    nodes = list(branches)
    structs = [node for node in nodes if isinstance(node, inspect.StructType)]
    words: list[str] = []
    for node in nodes:
        if isinstance(node, inspect.StructType) and node is not structs[0]:
            continue
        if not isinstance(node, inspect.NoneType):
            words.extend(_describe_one(node))
    return _either(words) or "null"


def _describe_one(node: inspect.Type) -> list[str]:
    match node:
        case inspect.LiteralType(values=values):
            words = _quoted(str(value) for value in values)
        case inspect.BoolType():
            words = ["true", "false"]
        case inspect.StrType():
            words = [f"a string{_string_limits(node)}"]
        case inspect.IntType() | inspect.FloatType():
            kind = "an integer" if isinstance(node, inspect.IntType) else "a number"
            words = [f"{kind}{_number_limits(node)}"]
        case inspect.ListType() | inspect.VarTupleType():
            words = [f"an array{_limits(' of', node.min_length, node.max_length, 'item')}"]
        case inspect.StructType() | inspect.DictType():
            words = ["an object"]
        case _:
            words = ["any JSON value"]
    return words


def _string_limits(node: inspect.StrType) -> str:
    if node.pattern is not None:
        return f" that matches {node.pattern.removesuffix(_NO_NEWLINE)}"
    return _limits(" of", node.min_length, node.max_length, "character")


def _number_limits(node: inspect.IntType | inspect.FloatType) -> str:
    if node.ge is not None and node.le is not None:
        return f" from {node.ge} to {node.le}"
    bounds = [("of at least", node.ge), ("above", node.gt), ("of at most", node.le), ("below", node.lt)]
    told = [f"{word} {bound}" for word, bound in bounds if bound is not None]
    return f" {' and '.join(told)}" if told else ""


def _limits(of: str, least: int | None, most: int | None, unit: str) -> str:
    match least, most:
        case None, None:
            return ""
        case int(), None:
            return f"{of} at least {least} {unit}{'' if least == 1 else 's'}"
        case None, int():
            return f"{of} at most {most} {unit}s"
        case _:
            return f"{of} {least} to {most} {unit}s"


def _quoted(words: Iterable[str]) -> list[str]:
    return [f"'{word}'" for word in words]


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
