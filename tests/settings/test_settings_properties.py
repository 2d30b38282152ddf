"""Whatever file and environment hold: Settings, or a SettingsError that can be printed."""

import string
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantized.settings import Settings, SettingsError, load, variable
from quantized.settings_schema import MODEL, PROVIDER, RATES, SCALARS
from quantized.settings_values import decimal_from_text

SECTIONS = [
    *filter(None, SCALARS),
    "providers",
    "providers.x",
    'providers.x.models."a/b"',
    "catalog.overrides.x.m",
]
KEYS = [key for kinds in (*SCALARS.values(), PROVIDER, MODEL, RATES) for key in kinds] + ["rates", "models"]
VARIABLES = [variable(section, key) for section, kinds in SCALARS.items() for key in kinds]

scalar = st.one_of(
    st.booleans().map(lambda value: str(value).lower()),
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:E}".replace("E", "e")),
    st.sampled_from(
        ["nan", "-inf", "1e-400", "0e999999999", "1e400", "1979-05-27", "07:32:00", "[]", "{}", "[[1]]"]
    ),
    st.text(string.printable).map(lambda value: "'" + value.replace("'", "").replace("\n", "") + "'"),
    st.sampled_from(['"http://a"', '"x"', '"openrouter"', "{ input = 1, output = 2 }", '["a", 1]']),
)
line = st.one_of(
    st.tuples(st.sampled_from(KEYS), scalar).map(" = ".join),
    st.sampled_from(SECTIONS).map("[{}]".format),
)
toml = st.one_of(st.lists(line, max_size=12).map("\n".join).map(str.encode), st.binary(max_size=200))
environment = st.dictionaries(
    st.one_of(
        st.sampled_from([*VARIABLES, "OPENROUTER_API_KEY", "OPENROUTER_BASE_URL"]), st.text(max_size=20)
    ),
    st.one_of(
        st.text(max_size=30), scalar, st.sampled_from(["true", "8080", "0.5", "https://a.example", "x"])
    ),
    max_size=6,
).map(lambda environ: {name: value for name, value in environ.items() if name != "QUANTIZED_CONFIG"})


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(content=toml, environ=environment)
def test_settings_or_settings_error(tmp_path: Path, content: bytes, environ: dict[str, str]) -> None:
    path = tmp_path / "quantized.toml"
    path.write_bytes(content)
    try:
        loaded = load(environ, path)
    except SettingsError as error:
        assert error.mistakes
        assert str(error).encode()
    else:
        assert isinstance(loaded, Settings)
        hash(loaded.timeouts)
        assert 0 <= loaded.port <= 65_535
        assert all(seconds > 0 for seconds in (loaded.timeouts.connect, loaded.timeouts.total))


@given(scaled=st.integers(0, 10**12))
def test_a_rate_survives_its_way_through_text(scaled: int) -> None:
    text = f"{scaled // 10**6}.{scaled % 10**6:06}"
    assert RATES["input"].accept(decimal_from_text(text)) == scaled
