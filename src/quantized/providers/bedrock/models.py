"""The names of Bedrock's models: what people call them, and what they are called in a region.

A model is served in the region itself, through an inference profile that spreads its calls over the regions
of a geography, through a global one, or several of these. A public name means the nearest: the geography's
own profile, the region itself, the world.
"""

import re

from msgspec import Struct

from quantized.providers.bedrock.families import Family, base_id, family_of

HERE = "here"
WORLD = "global"

_US = "us"
_EVERYWHERE = "us eu jp au global"
_US_AND_WORLD = "us global"

_SERVED: dict[str, str] = {
    "ai21.jamba-1-5-large-v1:0": HERE,
    "ai21.jamba-1-5-mini-v1:0": HERE,
    "amazon.nova-2-lite-v1:0": "us eu jp global",
    "amazon.nova-lite-v1:0": "here us eu apac ca",
    "amazon.nova-micro-v1:0": "here us eu apac",
    "amazon.nova-premier-v1:0": _US,
    "amazon.nova-pro-v1:0": "here us eu apac",
    "amazon.titan-text-express-v1": HERE,
    "amazon.titan-text-lite-v1": HERE,
    "anthropic.claude-3-haiku-20240307-v1:0": "here us eu apac",
    "anthropic.claude-3-sonnet-20240229-v1:0": "here us eu apac",
    "anthropic.claude-3-opus-20240229-v1:0": "here us",
    "anthropic.claude-3-5-haiku-20241022-v1:0": "here us",
    "anthropic.claude-3-5-sonnet-20240620-v1:0": "here us eu apac",
    "anthropic.claude-3-5-sonnet-20241022-v2:0": "here us apac",
    "anthropic.claude-3-7-sonnet-20250219-v1:0": "us eu apac",
    "anthropic.claude-sonnet-4-20250514-v1:0": "us eu apac global",
    "anthropic.claude-opus-4-20250514-v1:0": _US,
    "anthropic.claude-opus-4-1-20250805-v1:0": _US,
    "anthropic.claude-sonnet-4-5-20250929-v1:0": f"{_EVERYWHERE} us-gov",
    "anthropic.claude-haiku-4-5-20251001-v1:0": f"{_EVERYWHERE} in",
    "anthropic.claude-opus-4-5-20251101-v1:0": "us eu global",
    "anthropic.claude-opus-4-6-v1": "us eu global",
    "anthropic.claude-sonnet-4-6": "us eu jp global",
    "anthropic.claude-opus-4-7": "us eu jp global",
    "anthropic.claude-opus-4-8": _EVERYWHERE,
    "anthropic.claude-opus-5": f"{_EVERYWHERE} in",
    "anthropic.claude-sonnet-5": f"{_EVERYWHERE} in",
    "anthropic.claude-fable-5": _EVERYWHERE,
    "anthropic.claude-fable-5-1": _US_AND_WORLD,
    "anthropic.claude-fable-5-2": "us eu global",
    "anthropic.claude-mythos-5-2": "us eu global",
    "anthropic.claude-haiku-5-5": _EVERYWHERE,
    "anthropic.claude-sonnet-5-5": _EVERYWHERE,
    "anthropic.claude-opus-5-5": _EVERYWHERE,
    "cohere.command-r-plus-v1:0": HERE,
    "cohere.command-r-v1:0": HERE,
    "deepseek.r1-v1:0": _US,
    "deepseek.v3-v1:0": HERE,
    "deepseek.v3.2": HERE,
    "google.gemma-3-12b-it": HERE,
    "google.gemma-3-27b-it": HERE,
    "google.gemma-3-4b-it": HERE,
    "meta.llama3-1-70b-instruct-v1:0": "here us",
    "meta.llama3-1-8b-instruct-v1:0": "here us",
    "meta.llama3-2-11b-instruct-v1:0": _US,
    "meta.llama3-2-1b-instruct-v1:0": "us eu",
    "meta.llama3-2-3b-instruct-v1:0": "us eu",
    "meta.llama3-2-90b-instruct-v1:0": _US,
    "meta.llama3-3-70b-instruct-v1:0": _US,
    "meta.llama3-70b-instruct-v1:0": HERE,
    "meta.llama3-8b-instruct-v1:0": HERE,
    "meta.llama4-maverick-17b-instruct-v1:0": _US,
    "meta.llama4-scout-17b-instruct-v1:0": _US,
    "minimax.minimax-m2": HERE,
    "minimax.minimax-m2.1": HERE,
    "minimax.minimax-m2.5": HERE,
    "mistral.devstral-2-123b": HERE,
    "mistral.magistral-small-2509": HERE,
    "mistral.ministral-3-14b-instruct": HERE,
    "mistral.ministral-3-3b-instruct": HERE,
    "mistral.ministral-3-8b-instruct": HERE,
    "mistral.mistral-7b-instruct-v0:2": HERE,
    "mistral.mistral-large-2402-v1:0": HERE,
    "mistral.mistral-large-2407-v1:0": HERE,
    "mistral.mistral-large-3-675b-instruct": HERE,
    "mistral.mistral-small-2402-v1:0": HERE,
    "mistral.mixtral-8x7b-instruct-v0:1": HERE,
    "mistral.pixtral-large-2502-v1:0": "us eu",
    "mistral.voxtral-mini-3b-2507": HERE,
    "mistral.voxtral-small-24b-2507": HERE,
    "moonshot.kimi-k2-thinking": HERE,
    "moonshotai.kimi-k2.5": HERE,
    "moonshotai.kimi-k3": "us in global",
    "moonshotai.kimi-k3.1": "us in global",
    "nvidia.nemotron-nano-3-30b": HERE,
    "nvidia.nemotron-nano-9b-v2": HERE,
    "nvidia.nemotron-super-3-120b": HERE,
    "openai.gpt-5.6-luna": "us in global",
    "openai.gpt-5.6-sol": _US_AND_WORLD,
    "openai.gpt-5.6-terra": "us in global",
    "openai.gpt-6-astra": _US_AND_WORLD,
    "openai.gpt-6-luna": "us in global",
    "openai.gpt-6-sol": "us in global",
    "openai.gpt-6.1-sol": _US_AND_WORLD,
    "openai.gpt-6.1-terra": _US_AND_WORLD,
    "openai.gpt-oss-120b-1:0": HERE,
    "openai.gpt-oss-20b-1:0": HERE,
    "qwen.qwen3-32b-v1:0": HERE,
    "qwen.qwen3-coder-30b-a3b-v1:0": HERE,
    "qwen.qwen3-coder-480b-a35b-v1:0": HERE,
    "qwen.qwen3-vl-235b-a22b": HERE,
    "writer.palmyra-x4-v1:0": _US,
    "writer.palmyra-x5-v1:0": _US,
    "zai.glm-5.3": _US_AND_WORLD,
}
"""Where each model is served: in the region itself, and through which inference profiles. What is not in it
is reached by its own id."""

_AUTHORS = {
    "ai21": "ai21",
    "amazon": "amazon",
    "anthropic": "anthropic",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "google": "google",
    "meta": "meta",
    "meta-llama": "meta",
    "minimax": "minimax",
    "mistral": "mistral",
    "mistralai": "mistral",
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "nvidia": "nvidia",
    "openai": "openai",
    "qwen": "qwen",
    "writer": "writer",
    "z-ai": "zai",
    "zai": "zai",
}
"""How people call the makers of models, to what this provider calls them."""

_REVISION = re.compile(r"-v?\d+:\d+$|-v1$")
_VERSION = re.compile(r"(?<=\d)-(?=\d(?!\d))")
_DAY = re.compile(r"-20\d{6}(?=-|$)")
_NATIVE = re.compile(
    r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*\.[a-z][a-z0-9.:-]*"
    r"|arn:aws(?:-[a-z-]+)?:(?:bedrock|sagemaker):[a-z0-9-]{1,20}:(?:\d{12})?:[a-z-]+/[A-Za-z0-9.:-]{1,200}"
    r"(?:/[a-z0-9]{12})?"
)
"""An id, of a model or an inference profile, or an ARN of what can answer; a custom model's has two parts."""
_CLOSED = re.compile(r"us-gov-|us-iso|eu-iso|eusc-|cn-")
"""Regions that no call leaves for the rest of the world."""


class Served(Struct, frozen=True):
    """`id`: the model's own, without a profile. `public`: `author/model`. `family` has its limits."""

    id: str
    public: str
    places: tuple[str, ...]
    family: Family


def served() -> list[Served]:
    """Every model that is known to be served, retired ones too, in the order of their ids."""
    return [
        Served(model, public_name(model), tuple(places.split()), family_of(model))
        for model, places in _SERVED.items()
    ]


def is_served(model: str) -> bool:
    """Whether this is a known model's own id, without a profile, to the letter."""
    return model in _SERVED


def public_name(model: str) -> str:
    """`author/model` of an id, an inference profile's id or an ARN, without the model's revision: the name
    that other providers' users know. A day stays where it tells two models apart."""
    author, _, name = base_id(model).partition(".")
    plain = _plain(name)
    if author == "anthropic":
        # As those who route to this maker's models write them.
        plain = _VERSION.sub(".", plain)
    undated = _DAY.sub("", plain)
    alone = _UNDATED.get((_AUTHORS.get(author, author), _key(undated))) == base_id(model)
    return f"{_AUTHORS.get(author, author)}/{undated if alone else plain}"


def native_id(name: str, region: str, geography: str | None = None) -> str | None:
    """What a public name means in a region: an inference profile's id, or the model's. None for a name that
    means none. Native ids, of models and of inference profiles, and ARNs mean themselves. `geography` as of
    `nearest`."""
    if _NATIVE.fullmatch(name):
        return name
    author, slash, plain = name.lower().partition("/")
    if not slash or author not in _AUTHORS:
        return None
    key = (_AUTHORS[author], _key(_plain(plain)))
    model = _DATED.get(key) or _UNDATED.get(key)
    return None if model is None else nearest(model, region, geography)


def nearest(model: str, region: str, geography: str | None = None) -> str:
    """The id by which a region's callers reach the model that is nearest to them. A `geography` that was
    chosen is the only one, and the region itself comes next; of `none` there are no profiles."""
    places = _SERVED.get(model, HERE).split()
    for place in _geographies(region) if geography is None else (geography,):
        if place in places:
            return f"{place}.{model}"
    roams = geography is None and not _CLOSED.match(region)
    return f"{WORLD}.{model}" if roams and WORLD in places and HERE not in places else model


def reaches(model: str, region: str, geography: str | None = None) -> bool:
    """Whether any way is known by which a region's callers reach a model."""
    return HERE in _SERVED.get(model, HERE).split() or nearest(model, region, geography) != model


def _geographies(region: str) -> tuple[str, ...]:
    """The prefixes of inference profiles that a region's callers may use, the narrowest first."""
    area, _, rest = region.partition("-")
    if _CLOSED.match(region):
        return ("us-gov",) if region.startswith("us-gov-") else ()
    if area in {"us", "eu"}:
        return (area,)
    if area == "ca":
        return ("ca", "us")
    if area != "ap":
        return ()
    narrow = {
        "northeast-1": ("jp",),
        "northeast-3": ("jp",),
        "southeast-2": ("au",),
        "southeast-4": ("au",),
        "south-1": ("in",),
        "south-2": ("in",),
    }
    return (*narrow.get(rest, ()), "apac")


def _plain(name: str) -> str:
    """Without its revision (`-v1:0`)."""
    return _REVISION.sub("", name)


def _key(name: str) -> str:
    """The same for all the ways to write a name: `llama-3.3-70b-instruct`, `llama3-3-70b-instruct`."""
    return re.sub(r"[-._]", "", name)


def _keys() -> tuple[dict[tuple[str, str], str], dict[tuple[str, str], str]]:
    dated: dict[tuple[str, str], str] = {}
    undated: dict[tuple[str, str], str] = {}
    for model in _SERVED:
        author, _, name = model.partition(".")
        plain = _plain(name)
        dated[_AUTHORS[author], _key(plain)] = model
        # Of several with one name, the youngest has it; their ids come in the order of their days.
        undated[_AUTHORS[author], _key(_DAY.sub("", plain))] = model
    return dated, undated


_DATED, _UNDATED = _keys()
