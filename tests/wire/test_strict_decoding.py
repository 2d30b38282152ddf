"""Bodies that do not fit, and the words they are refused with."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Raw, Struct

from quantized.core.errors import InvalidRequest, InvalidValue, MalformedBody, MissingField, UnknownField
from quantized.wire.strict import MOST_CONTAINERS, StrictDecoder, check_nesting, require_object


class Closed(Struct, forbid_unknown_fields=True):
    pass


class Cat(Closed, tag_field="kind", tag="cat"):
    name: str
    lives: Annotated[int, Meta(ge=1, le=9)] | None = None


class Dog(Closed, tag_field="kind", tag="dog"):
    name: str
    tricks: Annotated[list[Annotated[str, Meta(max_length=3)]], Meta(max_length=2)] | None = None


class Shelter(Closed):
    animals: list[Cat | Dog]
    opens: str | list[str] | None = None
    mood: Literal["calm", "loud"] | Cat | None = None
    heat: Annotated[float, Meta(gt=0, lt=1)] | None = None
    sizes: dict[str, Annotated[float, Meta(ge=0)]] | None = None
    notes: Raw = Raw()
    extra: Any = None
    open: bool | None = None


DECODER = StrictDecoder(Shelter, {(Shelter, "beasts"): "Use 'animals' instead."})
CAT = '{"kind":"cat","name":"a"}'


def refusal(body: str | bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        DECODER.decode(body if isinstance(body, bytes) else body.encode(), 32)
    return caught.value


def test_a_fitting_body_is_decoded() -> None:
    shelter = DECODER.decode(b'{"animals":[{"kind":"dog","name":"b"}],"mood":"calm","notes":{"a":[1]}}', 32)
    assert shelter == Shelter(animals=[Dog(name="b")], mood="calm", notes=Raw(b'{"a":[1]}'))


@pytest.mark.parametrize(
    ("body", "kind", "param", "message"),
    [
        ('{"animls":[]}', UnknownField, "animls", "Unknown field 'animls'. Did you mean 'animals'?"),
        ('{"beasts":[]}', UnknownField, "beasts", "Unknown field 'beasts'. Use 'animals' instead."),
        (
            '{"animals":[{"kind":"cat","zzz":1}]}',
            UnknownField,
            "animals[0].zzz",
            "Unknown field 'animals[0].zzz'. Known fields here: kind, name, lives.",
        ),
        ("{}", MissingField, "animals", "Missing required field 'animals': expected an array."),
        (
            '{"animals":[{"kind":"cat"}]}',
            MissingField,
            "animals[0].name",
            "Missing required field 'animals[0].name': expected a string.",
        ),
        (
            '{"animals":[{"name":"a"}]}',
            MissingField,
            "animals[0].kind",
            "Missing required field 'animals[0].kind': expected 'cat' or 'dog'.",
        ),
        (
            '{"animals":[{"kind":"dgo","name":"a"}]}',
            InvalidValue,
            "animals[0].kind",
            "Invalid value for 'animals[0].kind': expected 'cat' or 'dog', found the string 'dgo'. "
            "Did you mean 'dog'?",
        ),
        (
            '{"animals":[{"kind":7,"name":"a"}]}',
            InvalidValue,
            "animals[0].kind",
            "Invalid type for 'animals[0].kind': expected 'cat' or 'dog', found the number 7.",
        ),
        (
            '{"animals":[5]}',
            InvalidValue,
            "animals[0]",
            "Invalid type for 'animals[0]': expected an object, found the number 5.",
        ),
        (
            '{"animals":[{"kind":"cat","name":"a","lives":10}]}',
            InvalidValue,
            "animals[0].lives",
            "Invalid value for 'animals[0].lives': expected an integer from 1 to 9, found the number 10.",
        ),
        (
            '{"animals":[{"kind":"cat","name":"a","lives":1.5}]}',
            InvalidValue,
            "animals[0].lives",
            "Invalid type for 'animals[0].lives': expected an integer from 1 to 9, found the number 1.5.",
        ),
        (
            '{"animals":[{"kind":"dog","name":"a","tricks":["sit","roll"]}]}',
            InvalidValue,
            "animals[0].tricks[1]",
            "Invalid value for 'animals[0].tricks[1]': expected a string of at most 3 characters, "
            "found the string 'roll'.",
        ),
        (
            '{"animals":[{"kind":"dog","name":"a","tricks":["a","b","c"]}]}',
            InvalidValue,
            "animals[0].tricks",
            "Invalid value for 'animals[0].tricks': expected an array of at most 2 items, found 3 items.",
        ),
        (
            f'{{"animals":[{CAT}],"opens":[true]}}',
            InvalidValue,
            "opens[0]",
            "Invalid type for 'opens[0]': expected a string, found true.",
        ),
        (
            f'{{"animals":[{CAT}],"opens":{{}}}}',
            InvalidValue,
            "opens",
            "Invalid type for 'opens': expected a string or an array, found an object.",
        ),
        (
            f'{{"animals":[{CAT}],"mood":"lout"}}',
            InvalidValue,
            "mood",
            "Invalid value for 'mood': expected 'calm', 'loud' or an object, found the string 'lout'. "
            "Did you mean 'loud'?",
        ),
        (
            f'{{"animals":[{CAT}],"mood":{{"kind":"cat"}}}}',
            MissingField,
            "mood.name",
            "Missing required field 'mood.name': expected a string.",
        ),
        (
            f'{{"animals":[{CAT}],"heat":1}}',
            InvalidValue,
            "heat",
            "Invalid value for 'heat': expected a number above 0 and below 1, found the number 1.",
        ),
        (
            f'{{"animals":[{CAT}],"heat":true}}',
            InvalidValue,
            "heat",
            "Invalid type for 'heat': expected a number above 0 and below 1, found true.",
        ),
        (
            f'{{"animals":[{CAT}],"open":"yes"}}',
            InvalidValue,
            "open",
            "Invalid type for 'open': expected true or false, found the string 'yes'.",
        ),
        (
            f'{{"animals":[{CAT}],"sizes":{{"a b":-1}}}}',
            InvalidValue,
            "sizes.a b",
            "Invalid value for 'sizes.a b': expected a number of at least 0, found the number -1.",
        ),
        ("[]", InvalidValue, None, "Invalid body: expected an object, found an array."),
        ("null", InvalidValue, None, "Invalid body: expected an object, found null."),
        (
            f'{{"animals":[{CAT}],"heat":1e999}}',
            InvalidValue,
            "heat",
            "Invalid value for 'heat': Number out of range.",
        ),
        (
            f'{{"animals":[{CAT}],"extra":{{"a":1e999}}}}',
            InvalidValue,
            "extra",
            "Invalid value for 'extra': Number out of range.",
        ),
        (
            f'{{"animals":1,"animals":[{CAT}]}}',
            InvalidValue,
            "animals",
            "Invalid value for 'animals': Expected `array`, got `int`.",
        ),
    ],
)
def test_a_refusal_names_the_field_what_was_found_and_what_would_work(
    body: str, kind: type[InvalidRequest], param: str | None, message: str
) -> None:
    fault = refusal(body)
    assert type(fault) is kind
    assert fault.param == param
    assert fault.message == message
    assert fault.code


def test_a_long_value_is_never_told_whole() -> None:
    secret = "secret " * 1000
    fault = refusal('{"animals":[],"opens":7,"heat":"' + secret + '"}')
    assert fault.param == "opens"
    fault = refusal('{"animals":[],"heat":"' + secret + '"}')
    assert len(fault.message) < 200
    fault = refusal('{"animals":[],"' + secret + '":1}')
    assert len(fault.message) < 300
    fault = refusal('{"animals":[],"heat":' + "9" * 400 + "}")
    assert len(fault.message) < 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "The body is empty"),
        (b" \n", "The body is empty"),
        (b'{"animals":', "it ends too early"),
        (b'{"animals":[],}', "trailing comma in object at byte 14 (line 1, column 15)"),
        (b'{\n "animals": x}', "invalid character at byte 14 (line 2, column 13)"),
        (b'{"heat":NaN}', "NaN is no JSON number at byte 8"),
        (b'{"heat":-Infinity}', "Infinity is no JSON number"),
        (b'\xef\xbb\xbf{"animals":[]}', "byte order mark"),
        (b'{"opens":"\xff"}', "not valid UTF-8 at byte 10"),
        (b'{"animals":[],"notes":{"a":"\xff"}}', "not valid UTF-8 at byte 28"),
        (b'{"opens":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"opens":"\\ud800"}', "not valid JSON"),
        (b'{"opens":"\\udc00"}', "surrogate pair"),
        (b'{"animals":[],"notes":{"a":"\\udc00"}}', "surrogate pair"),
        (b'{"animals":[],"notes":["\\ud800\\ud800"]}', "surrogate pair"),
        ('{"animals":[]}'.encode("utf-16"), "not valid JSON"),
        (b'{"opens":"a\nb"}', "invalid character"),
        (b'{"animals":[]} {}', "trailing characters"),
    ],
)
def test_what_is_not_json_says_where(body: bytes, words: str) -> None:
    fault = refusal(body)
    assert type(fault) is MalformedBody
    assert words in fault.message


@pytest.mark.parametrize(
    "opening", [b"[", b'{"a":', b'{"animals":[{"kind":"cat","name":[', b'{"notes":[', b"[{"]
)
def test_a_nesting_bomb_is_refused(opening: bytes) -> None:
    assert refusal(opening * 50_000).code == "nested_too_deeply"


def test_nesting_is_counted_exactly() -> None:
    def nested(depth: int) -> bytes:
        return b'{"animals":[],"extra":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert DECODER.decode(nested(32), 32).extra is not None
    assert refusal(nested(33)).code == "nested_too_deeply"
    # Many, but beside each other.
    check_nesting(b"[" + b"[{}]," * 10_000 + b"[]]", 3)
    with pytest.raises(MalformedBody):
        check_nesting(b"[" + b"[{}]," * 10_000 + b"[[[]]]]", 3)


@pytest.mark.parametrize("text", ["[" * 999, '\\"[[[[' * 99, "\\\\", '[\\\\\\"[' * 99, "\\u005b" + "{" * 99])
def test_brackets_in_strings_do_not_count(text: str) -> None:
    check_nesting(f'{{"a":"{text}","b":["{text}",[]]}}'.encode(), 3)
    with pytest.raises(MalformedBody):
        check_nesting(f'{{"a":"{text}","b":["{text}",[[]],{{}}]}}'.encode(), 3)


def test_too_many_containers_are_refused() -> None:
    body = b'{"animals":[],"extra":[' + b"[]," * MOST_CONTAINERS + b"[]]}"
    assert refusal(body).code == "too_many_values"


def test_a_raw_field_can_be_required_to_hold_an_object() -> None:
    require_object(Raw(b'{"a":[1,{"b":null}]}'), "notes")
    for text in (b"[]", b"1", b'"a"', b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}"):
        with pytest.raises(InvalidValue) as caught:
            require_object(Raw(text), "notes")
        assert caught.value.param == "notes"


def test_every_refusal_can_be_encoded() -> None:
    fault = refusal('{"animals":[],"\\u0000\\ud83d\\ude00":1}')
    assert "😀" in msgspec.json.decode(msgspec.json.encode(fault.message))
