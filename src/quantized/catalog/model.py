"""A model as the catalogue knows it, and its rates."""

from msgspec import Struct


class Rates(Struct, frozen=True):
    """Integers in micro-credits per million: of tokens, of requests (`request`), of searches (`web_search`).

    One micro-credit per million tokens is the finest price there is: $0.000001 per million tokens at one
    credit per dollar. No rate is ever a float.
    """

    input: int
    output: int
    cached_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    reasoning: int
    output_audio: int
    output_image: int
    request: int = 0
    web_search: int | None = None
    """None where the price of a search is not known; such a search is refused."""


class Modality(Struct, frozen=True):
    text: bool = True
    image: bool = False
    audio: bool = False
    video: bool = False


class Model(Struct, frozen=True):
    """`id` is the public name (`author/model`), `native_id` what the provider is told. `rates` are our own
    before any licence's terms; None where no price is known, and then the model cannot be called.
    Windows are in tokens, None where unknown."""

    id: str
    provider: str
    native_id: str
    name: str
    author: str
    rates: Rates | None
    description: str = ""
    context_window: int | None = None
    max_output_tokens: int | None = None
    input_modality: Modality = Modality()
    output_modality: Modality = Modality()
    features: tuple[str, ...] = ()
    created: int = 0


class Offer(Struct, frozen=True):
    """A model at one licence's rates."""

    model: Model
    rates: Rates
