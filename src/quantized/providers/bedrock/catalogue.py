"""Bedrock's models as a region's catalogue lists them, and what is charged for every other name they go by.

A model costs what the way to it costs: through a global inference profile less than through a geography's own
or in the region itself, on the newer ones. So a public name has the rates of the way that it means there, and
a native id, an inference profile's id or an ARN those of its own.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec.structs import replace

from quantized.catalog.model import Modality, Model
from quantized.providers.bedrock.families import Family, base_id, family_of
from quantized.providers.bedrock.models import (
    WORLD,
    is_served,
    native_id,
    nearest,
    public_name,
    reaches,
    served,
)
from quantized.providers.bedrock.seals import MAKER

PRICE_LIST = "aws"
"""What the price list calls this provider."""

_REGIONAL = "regional."
"""What the price list puts before a model that costs more in a region than in the world."""

_PRICED_ARN = re.compile(r"arn:[^/]*:(?:inference-profile|foundation-model)/([^/]+)")
"""ARNs that end in the model's name."""

_VARIANT = re.compile(r":(?:\d+k|mm)$")
"""A longer or shorter context window, or images, of one and the same model."""

_NAMELESS = "(unpriced)"

Reading = Callable[[str], str | None]
"""The price list's own: its id of the model that a name means."""


def listed(
    priced: Iterable[Model],
    read: Reading,
    region: str,
    geography: str | None = None,
    profiles: Mapping[str, str] | None = None,
) -> list[Model]:
    """The models of a region, each by its nearest way (listed where there is one), and the ARNs of `profiles`
    with the name of the model behind each, at the end; before them, listed nowhere, a row for each price that
    there is."""
    by_price = {model.native_id: model for model in priced}
    prices = [_described(model, *_price_row(model.native_id)) for model in by_price.values()]
    # Global prices first: of two rows with one public name, the later one has it.
    prices.sort(key=lambda model: not model.native_id.startswith(f"{WORLD}."))
    behind = [
        _profile(arn, native_id(name, region, geography) or name, by_price, read)
        for arn, name in (profiles or {}).items()
    ]
    return [_UNPRICED, *prices, *_near(by_price, read, region, geography), *behind]


def spelling(
    read: Reading, region: str, geography: str | None = None
) -> Callable[[str], tuple[str, str] | None]:
    """How a name that is on no list is read (`catalog.catalog.Spelling`). A native id, an inference profile's
    id or an ARN is sent as it is, at the price of the model that it ends in; where that cannot be known, it
    has none."""

    def meant(name: str) -> tuple[str, str] | None:
        native = native_id(name, region, geography)
        if native is None:
            return None
        price = _price(native, read)
        return (_NAMELESS if price is None else _price_row(price)[0]), native

    return meant


def _near(
    by_price: Mapping[str, Model], read: Reading, region: str, geography: str | None
) -> Iterator[Model]:
    for known in served():
        native = nearest(known.id, region, geography)
        found = by_price.get(_price(native, read) or "")
        model = found or Model(known.public, MAKER, native, known.public, "", None)
        yield replace(_described(model, native, known.family), listed=reaches(known.id, region, geography))


def _profile(arn: str, native: str, by_price: Mapping[str, Model], read: Reading) -> Model:
    """The row of an ARN: all that is known of the model behind it, under a name of its own."""
    found = by_price.get(_price(native, read) or "") or Model(arn, MAKER, arn, arn, "", None)
    return replace(_described(found, native, family_of(native)), id=arn, native_id=arn, listed=True)


def _price(native: str, read: Reading) -> str | None:
    """The price list's id for a native one. Of a geography that it does not name, the price is that of the
    model in a region, which is nowhere below the world's.

    The list reads names generously. Only one that is a known model's to the letter has its price: another may
    be another model's.
    """
    if native.startswith("arn:"):
        found = _PRICED_ARN.fullmatch(native)
        if found is None:
            return None
        native = found[1]
    base = base_id(native)
    price = read(native) or read(base)
    own = _VARIANT.sub("", base)
    return price if price is not None and (is_served(own) or base_id(price) == own) else None


def _price_row(price: str) -> tuple[str, Family]:
    """The native id that a price of the list is kept under, and the family of the model."""
    native = price.removeprefix(_REGIONAL)
    return native, family_of(native)


def _described(model: Model, native: str, family: Family) -> Model:
    public = public_name(native)
    author = public.partition("/")[0]
    return replace(
        model,
        id=public,
        provider=MAKER,
        native_id=native,
        author=author,
        # The price list's word is for the makers' own servers as well as for these.
        context_window=family.context_window or model.context_window,
        max_output_tokens=family.max_output_tokens,
        input_modality=Modality(image=family.images, audio=family.audio),
        features=_features(family),
        listed=False,
    )


def _features(family: Family) -> tuple[str, ...]:
    has = {
        "tool_calls": family.tools,
        "parallel_tool_calls": family.tools,
        "structured_output": family.schemas,
        "reasoning": family.reasoning != "none",
        "file_input": family.documents,
    }
    return tuple([feature for feature, there in has.items() if there])


_UNPRICED = Model(_NAMELESS, MAKER, _NAMELESS, "", "", None, listed=False)
"""What a name means that is well-formed and has no price."""
