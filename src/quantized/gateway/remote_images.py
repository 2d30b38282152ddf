"""Images that callers give by their URL, for providers that want their bytes."""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from quantized.core.errors import Fault, ImageNotFetched, Unavailable
from quantized.core.parts import AnyPart, Image, ToolResult
from quantized.core.request import GenerationRequest
from quantized.gateway.slots import Slots
from quantized.wire.data_url import is_data_url

_DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5E"
    "rkJggg=="
)
"""A grey picture of one pixel."""


class Fetched(Protocol):
    @property
    def media_type(self) -> str: ...

    @property
    def data(self) -> bytes: ...


class ImageSource(Protocol):
    def fetch(self, url: str, field: str) -> Awaitable[Fetched]:
        """The image at `url`, which the caller gave in `field`. Raises ImageNotFetched."""


class ImageLimits(Struct, frozen=True):
    """`per_request` different URLs, of `bytes` together, within `seconds` with all waiting for a slot; of
    slots there are `at_once`, and for one licence `each`."""

    per_request: int = 20
    bytes: int = 20 * 1024 * 1024
    seconds: float = 60.0
    at_once: int = 16
    each: int = 4


class RemoteImages:
    """Puts images in the place of their URLs. An image counts in a hold as what it can be at most, however it
    comes, so that this can wait until a request is known to be paid for."""

    def __init__(self, source: ImageSource, limits: ImageLimits | None = None) -> None:
        self._source = source
        self._limits = limits or ImageLimits()
        self._slots = Slots(self._limits.at_once, self._limits.each)

    async def inlined(
        self, request: GenerationRequest, check: Callable[[GenerationRequest], object], license_id: str
    ) -> GenerationRequest:
        """The request with `data:` URLs alone. Raises ImageNotFetched, naming the part, and Unavailable
        where they were not all there in time: each has an end of its own, so that it is no one's fault.

        `check` is given the request with some picture in the place of each that is to be fetched. What it
        raises is raised before anything is.
        """
        wanted: dict[str, str] = {}
        for url, field in _remote(request):
            wanted.setdefault(url, field)
        if not wanted:
            return request
        limit = self._limits.per_request
        if len(wanted) > limit:
            raise ImageNotFetched(
                f"A request may name at most {limit} images by their URL; send the others as data: URLs",
                param=list(wanted.values())[limit],
            )
        check(_shown(request, dict.fromkeys(wanted, _DOT)))
        return _shown(request, await self._all(wanted, license_id))

    async def _all(self, wanted: Mapping[str, str], license_id: str) -> Mapping[str, str]:
        """A `data:` URL for each URL. What one image's fault leaves without use is not fetched to its end."""
        limits = self._limits
        left = limits.bytes
        found: dict[str, str] = {}

        async def one(url: str, field: str) -> None:
            nonlocal left
            async with self._slots.taken(license_id):
                image = await self._source.fetch(url, field)
            left -= len(image.data)
            if left < 0:
                raise _refused(field, f"the images of a request have at most {limits.bytes} bytes together.")
            found[url] = f"data:{image.media_type};base64,{b64encode(image.data).decode()}"

        try:
            async with asyncio.timeout(limits.seconds), asyncio.TaskGroup() as group:
                for url, field in wanted.items():
                    group.create_task(one(url, field))
        except TimeoutError:
            missing = len(wanted) - len(found)
            cause = f"{missing} of {len(wanted)} images were not there within {limits.seconds:g} seconds"
            raise Unavailable(cause=cause) from None
        except BaseExceptionGroup as faults:
            raise faults.exceptions[0] from None
        return found


def _shown(request: GenerationRequest, found: Mapping[str, str]) -> GenerationRequest:
    messages = tuple(
        replace(message, parts=tuple(_with(part, found) for part in message.parts))
        for message in request.messages
    )
    return replace(request, messages=messages)


def _refused(field: str, why: str) -> Fault:
    return ImageNotFetched(f"Invalid value for '{field}': {why}", param=field)


def _remote(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    """Every URL that is to be fetched, and the caller's field that it stands in."""
    for at, message in enumerate(request.messages):
        for n, part in enumerate(message.parts):
            for inner, place in _images(part, n):
                yield inner.url, f"messages[{at}].content[{place}].image_url.url"


def _images(part: AnyPart, place: int) -> Iterator[tuple[Image, int]]:
    match part:
        case Image(url) if not is_data_url(url):
            yield part, place
        case ToolResult(parts=parts):
            for n, inner in enumerate(parts):
                yield from _images(inner, n)


def _with(part: AnyPart, found: Mapping[str, str]) -> AnyPart:
    match part:
        case Image(url) if url in found:
            return replace(part, url=found[url])
        case ToolResult(parts=parts):
            return replace(part, parts=tuple(_with(inner, found) for inner in parts))
    return part
