"""Bodies that do not fit, and the words they are refused with."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Raw, Struct

from quantized.core.errors import InvalidRequest, InvalidValue, MalformedBody, MissingField, UnknownField
from quantized.wire.strict import MOST_CONTAINERS, StrictDecoder, require_object, require_objects


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
REPEATED = "something on the way there is given more than once, and not every time with a value that fits."
CAT = '{"kind":"cat","name":"a"}'


def refusal(body: str | bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        DECODER.decode(body if isinstance(body, bytes) else body.encode())
    return caught.value


def test_a_fitting_body_is_decoded() -> None:
    shelter = DECODER.decode(b'{"animals":[{"kind":"dog","name":"b"}],"mood":"calm","notes":{"a":[1]}}')
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
            "Invalid value for 'heat': expected a number above 0 and below 1, "
            "found a number too large to read.",
        ),
        (
            f'{{"animals":[{CAT}],"extra":{{"a":1e999}}}}',
            InvalidValue,
            "extra",
            "Invalid value for 'extra': it is or holds a number that is out of range.",
        ),
        (
            f'{{"animals":[{CAT}],"sizes":{{"a":1e999}}}}',
            InvalidValue,
            "sizes",
            "Invalid value for 'sizes': it is or holds a number that is out of range.",
        ),
        (
            f'{{"animals":[{CAT}],"open":7,"heat":-1e999}}',
            InvalidValue,
            "open",
            "Invalid type for 'open': expected true or false, found the number 7.",
        ),
        (
            f'{{"animals":[{CAT}],"heat":{"9" * 5000}}}',
            InvalidValue,
            "heat",
            "Invalid value for 'heat': it is or holds a number that is out of range.",
        ),
        (
            f'{{"animals":[{CAT}],"open":7,"heat":{"9" * 5000}}}',
            InvalidValue,
            "open",
            "Invalid value for 'open': it does not fit.",
        ),
        (
            f'{{"animals":[{CAT},{CAT},5],"animals":[{CAT}]}}',
            InvalidValue,
            "animals[2]",
            "Invalid value for 'animals[2]': " + REPEATED,
        ),
        (
            f'{{"animals":1,"animals":[{CAT}]}}',
            InvalidValue,
            "animals",
            "Invalid value for 'animals': " + REPEATED,
        ),
        (
            '{"animals":[{"kind":"cat","name":"a","lives":10,"lives":9}]}',
            InvalidValue,
            "animals[0].lives",
            "Invalid value for 'animals[0].lives': " + REPEATED,
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
        (b'{"opens":"\\ud800"}', "half of a surrogate pair at byte 10 (line 1, column 11)"),
        (b'{"opens":"\\ud83d x"}', "half of a surrogate pair at byte 10"),
        (b'{"opens":"\\uDBFF\\n"}', "half of a surrogate pair at byte 10"),
        (b'{"opens":"\\\\\\ud83d"}', "half of a surrogate pair at byte 12"),
        (b'{"opens":"\\ud83d', "it ends too early"),
        (b'{"opens":"\\ud83d\\', "it ends too early"),
        (b'{"opens":"\\ud83d\\u', "it ends too early"),
        (b'{"opens":"\\ud83d\\ude', "it ends too early"),
        (b'{"opens":"\\\\ud83d"', "it ends too early"),
        (b'{"opens":"\\u00e9"', "it ends too early"),
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
    "opening",
    [b"[", b'{"a":', b'{"animals":[{"kind":"cat","name":[', b'{"animals":[],"notes":', b'{"extra":', b"[{"],
)
def test_a_nesting_bomb_is_refused(opening: bytes) -> None:
    fault = refusal(opening + b'{"a":[' * 500_000)
    assert type(fault) in {MalformedBody, InvalidValue, UnknownField}
    fault = refusal(opening + b'{"a":[' * 5_000 + b"]}" * 5_000 + b"}")
    assert type(fault) in {MalformedBody, InvalidValue, UnknownField}


def test_what_is_nested_too_deeply_is_said_where() -> None:
    fault = refusal(b'{"animals":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert (type(fault), fault.param, fault.code) == (MalformedBody, "animals[0]", "nested_too_deeply")
    assert fault.message == "The body is nested too deeply, at 'animals[0]' or after it."
    fault = refusal(b"[" * 100_000 + b"]" * 100_000)
    assert (fault.param, fault.message) == (None, "The body is nested too deeply.")


def nested(depth: int) -> Raw:
    return Raw(b'{"a":[' * (depth // 2) + b"]}" * (depth // 2))


def test_nesting_is_counted_from_the_body() -> None:
    require_object(nested(10), "notes", 11)
    require_object(nested(10), "tools[0].function.parameters", 14)
    for path, depth in (("notes", 10), ("tools[0].function.parameters", 13)):
        with pytest.raises(MalformedBody) as caught:
            require_object(nested(10), path, depth)
        assert caught.value.code == "nested_too_deeply"
        assert caught.value.param == path
    with pytest.raises(MalformedBody):
        require_object(nested(100_000), "notes", 128)


def test_only_nesting_counts_not_number_nor_brackets_in_strings() -> None:
    require_object(Raw(b'{"a":[' + b"{}," * 1_000 + b"[]]}"), "notes", 4)
    require_object(Raw(b'{"a":"' + b'[[{\\"' * 1_000 + b'"}'), "notes", 2)
    with pytest.raises(MalformedBody):
        require_object(Raw(b'{"a":[' + b"{}," * 1_000 + b"[]]}"), "notes", 3)


def test_too_many_containers_are_refused() -> None:
    raw = Raw(b'{"a":[' + b"[]," * MOST_CONTAINERS + b"[]]}")
    with pytest.raises(MalformedBody) as caught:
        require_object(raw, "notes", 128)
    assert caught.value.code == "too_many_values"
    fault = refusal(b'{"animals":[' + b"{}," * MOST_CONTAINERS + b"{}]}")
    assert fault.param == "animals[0]"
    assert fault.message == "Invalid value for 'animals[0]': it does not fit."


def test_a_raw_field_can_be_required_to_hold_an_object() -> None:
    require_object(Raw(b'{"a":[1,{"b":null}]}'), "notes", 9)
    require_objects(Raw(b'[{"a":1},{}]'), "notes", 9)
    for text in (b"[]", b"1", b'"a"', b'{"a":1e999}', b'{"a":' + b"9" * 5000 + b"}"):
        with pytest.raises(InvalidValue) as caught:
            require_object(Raw(text), "notes", 9)
        assert caught.value.param == "notes"
    for text in (b"{}", b"[1]", b'"a"'):
        with pytest.raises(InvalidValue):
            require_objects(Raw(text), "notes", 9)


def test_a_late_mistake_is_found_without_looking_at_all_before_it() -> None:
    body = '{"animals":[' + f"{CAT}," * 50_000 + '{"kind":"cat","nam":"a"}]}'
    assert refusal(body).message == "Unknown field 'animals[50000].nam'. Did you mean 'name'?"


def test_every_refusal_can_be_encoded() -> None:
    fault = refusal('{"animals":[],"\\u0000\\ud83d\\ude00":1}')
    assert "😀" in msgspec.json.decode(msgspec.json.encode(fault.message))
