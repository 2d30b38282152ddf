"""What Converse may answer. Open and tolerant: the API adds fields, events and members of its unions as it
grows, and every event has a `p` beside its fields, which only hides its length."""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from quantized.providers.bedrock.usage import Reported


class Web(Struct, frozen=True, gc=False):
    url: str | None = None


class Location(Struct, frozen=True, gc=False):
    web: Web | None = None


class Citation(Struct, frozen=True, gc=False):
    """A page's has its address in `location`; that of a search result of the caller's has a `source`, which
    may be one."""

    title: str | None = None
    source: str | None = None
    location: Location | None = None


class ImageSource(Struct, frozen=True, gc=False):
    """`bytes` in base64."""

    bytes: str | None = None


class ReasoningPiece(Struct, frozen=True, gc=False, rename="camel"):
    """A part of a reasoning block; `redacted_content` in base64."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class InputPiece(Struct, frozen=True, gc=False):
    input: str = ""


class ImagePiece(Struct, frozen=True, gc=False):
    source: ImageSource | None = None


class Delta(Struct, frozen=True, gc=False, rename="camel"):
    """What grows a block: one member of these, or one that nobody knows."""

    text: str | None = None
    tool_use: InputPiece | None = None
    reasoning_content: ReasoningPiece | None = None
    citation: Citation | None = None
    image: ImagePiece | None = None


class BlockDelta(Struct, frozen=True, gc=False, rename="camel"):
    delta: Delta
    content_block_index: int


class ToolUse(Struct, frozen=True, gc=False, rename="camel"):
    """`type` is told of a tool of the server's alone. `input` comes with a whole block."""

    tool_use_id: str | None = None
    name: str | None = None
    type: str | None = None
    input: Raw = Raw()


class ServersResult(Struct, frozen=True, gc=False):
    """What a tool of the server's returned."""


class Image(Struct, frozen=True, gc=False):
    """`source` comes with a whole block."""

    format: str | None = None
    source: ImageSource | None = None


class Start(Struct, frozen=True, gc=False, rename="camel"):
    tool_use: ToolUse | None = None
    tool_result: ServersResult | None = None
    image: Image | None = None


class BlockStart(Struct, frozen=True, gc=False, rename="camel"):
    start: Start
    content_block_index: int


class BlockStop(Struct, frozen=True, gc=False, rename="camel"):
    content_block_index: int


class MessageStop(Struct, frozen=True, gc=False, rename="camel"):
    stop_reason: str | None = None


class Metadata(Struct, frozen=True):
    usage: Reported | None = None


class ReasoningText(Struct, frozen=True, gc=False):
    text: str = ""
    signature: str | None = None


class Reasoning(Struct, frozen=True, gc=False, rename="camel"):
    reasoning_text: ReasoningText | None = None
    redacted_content: str | None = None


class CitedText(Struct, frozen=True, gc=False):
    text: str = ""


class Cited(Struct, frozen=True):
    content: tuple[CitedText, ...] = ()
    citations: tuple[Citation, ...] = ()


class Block(Struct, frozen=True, rename="camel"):
    """A whole block: one member of these, or one that nobody knows."""

    text: str | None = None
    tool_use: ToolUse | None = None
    tool_result: ServersResult | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Cited | None = None
    image: Image | None = None


class Message(Struct, frozen=True):
    content: tuple[Raw, ...] | None = None


class Output(Struct, frozen=True):
    message: Message | None = None


class Body(Struct, frozen=True, rename="camel"):
    """A whole answer."""

    output: Output | None = None
    stop_reason: str | None = None
    usage: Reported | None = None


# Each of these raises one of UNREADABLE.
decode_block_start = Decoder(BlockStart).decode
decode_block_delta = Decoder(BlockDelta).decode
decode_block_stop = Decoder(BlockStop).decode
decode_message_stop = Decoder(MessageStop).decode
decode_metadata = Decoder(Metadata).decode
decode_block = Decoder(Block).decode
_body = Decoder(Body).decode


def decode_answer(body: bytes) -> Body:
    """Raises one of UNREADABLE. Text first: the JSON decoder does not look into what it hands on raw."""
    return _body(body.decode())
