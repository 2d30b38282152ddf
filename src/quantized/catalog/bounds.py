"""How many tokens a request can be, and about how many it is, without a tokenizer.

The bound must never be below what a provider counts, because the hold is priced with it. It rests on these
facts and worst cases:

- Text: tokenizers of the byte-pair and sentence-piece families make at most one token of a UTF-8 byte.
- JSON (tool schemas, response schemas, tool-call arguments, results of tools) may be written again by a chat
  template with spaces or indentation between its elements: at most one more token for each byte.
- A message: role, delimiters and the newlines between them, 3 to 8 tokens in published templates.
- A tool: the signature or wrapper around its schema. Any tools at all: the instructions a provider adds for
  their use, 300 to 900 tokens where they are published.
- A request: the preamble that some templates add on their own (date, reasoning level, channels), and the
  primer of the answer.
- An image: 48,169 tokens, the dearest published formula at its largest: 2,833 + 5,667 for each of at most 8
  tiles (gpt-4o-mini). The others stay below it: 16,384 (Qwen-VL), 4,784 (Claude), 2,240 (Gemini), and models
  that bill 1.2 tokens for 32 x 32 pixels up to 41 megapixels. `detail` is not trusted to lower it, since only
  some providers heed it.
- Audio: one token for 16 bytes. The thinnest common encodings, 6 kbit/s, carry 750 bytes a second, and the
  densest published count is 32 tokens a second.
- Files and audio spoken in an earlier turn have sizes that nobody knows before: the whole context window.
- A web search whose results become part of the one prompt: the whole context window. A model that searches by
  itself reads everything again after each search, and all of its readings are counted: one window more for
  each.

No single reading is longer than the context window: longer ones are refused upstream.
"""

from msgspec import Raw
from msgspec.json import encode

from quantized.catalog.model import Model
from quantized.core.parts import (
    AnyPart,
    Audio,
    AudioReference,
    File,
    Image,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from quantized.core.request import GenerationRequest, Tool

LARGEST_WINDOW = 10_000_000
"""Tokens; the largest context window that any model is published with. Stands in where it is unknown."""

_PER_REQUEST = 512
_PER_MESSAGE = 16
_PER_PART = 8
_PER_TOOL = 64
_WRAPPED = 16
"""Bytes of JSON around a tool's result."""
_ANY_TOOLS = 1_024
_ANY_SCHEMA = 256
_PER_IMAGE = 48_169
_AUDIO_BYTES_PER_TOKEN = 16

_TYPICAL_BYTES_PER_TOKEN = 4
_TYPICAL_PER_MESSAGE = 4
_TYPICAL_PER_IMAGE = 1_000
_TYPICAL_AUDIO_BYTES_PER_TOKEN = 256
_TYPICAL_FILE_BYTES_PER_TOKEN = 32


class _Measure:
    """What a request is made of. `text`, `json` and `audio` in bytes, `file` in bytes of its text form."""

    __slots__ = ("audio", "file", "images", "json", "messages", "parts", "text", "tools", "unknown")

    def __init__(self, request: GenerationRequest) -> None:
        self.text = self.json = self.audio = self.file = 0
        self.images = 0
        self.parts = 0
        self.unknown = False
        self.messages = len(request.messages)
        self.tools = len(request.tools) if request.tools else 0
        for message in request.messages:
            if message.name is not None:
                self.text += _utf8(message.name)
            for part in message.parts:
                # Nearly every part is text, and this is the hot path.
                if type(part) is Text:
                    self.text += _utf8(part.text)
                    self.parts += 1
                else:
                    self._add(part)
        if request.tools:
            for tool in request.tools:
                self._add_tool(tool)
        if request.tool_choice is not None and request.tool_choice.name is not None:
            self.text += _utf8(request.tool_choice.name)
        if request.output_format is not None and request.output_format.schema is not None:
            schema = request.output_format.schema
            self.text += _utf8(schema.name) + _utf8(schema.description or "")
            self.json += _size(schema.schema)

    def _add(self, part: AnyPart) -> None:
        self.parts += 1
        match part:
            case Text(text=text) | Refusal(text=text):
                self.text += _utf8(text)
            case Image():
                self.images += 1
            case Audio(data=data):
                self.audio += len(data) * 3 // 4
            case File(data=data):
                self.unknown = True
                self.file += len(data or "")
            case AudioReference():
                self.unknown = True
            case Reasoning(text=text, seals=seals):
                self.text += _utf8(text or "") + sum(len(seal.payload) for seal in seals)
            case ToolCall(id=call_id, name=name, arguments=arguments):
                self.text += _utf8(call_id) + _utf8(name) + _PER_TOOL
                self.json += _utf8(arguments)
            case ToolResult(call_id=call_id, parts=parts):
                self.text += _utf8(call_id)
                for inner in parts:
                    if type(inner) is Text:
                        # Some providers want it within JSON, where one byte may become six.
                        self.parts += 1
                        self.json += (
                            len(encode(inner.text.encode("utf-8", "backslashreplace").decode())) + _WRAPPED
                        )
                    else:
                        self._add(inner)

    def _add_tool(self, tool: Tool) -> None:
        self.text += _utf8(tool.name) + _utf8(tool.description or "")
        self.json += _size(tool.parameters)


def input_bound(request: GenerationRequest, model: Model, rereadings: int = 0) -> int:
    """Tokens that the provider's own count of the input will not exceed. `rereadings`: how many times a model
    that may search reads everything once more; 0 where what is found becomes part of the one prompt."""
    window = model.context_window or LARGEST_WINDOW
    if request.web_search is None:
        return _prompt_bound(request, window)
    return _prompt_bound(request, window) + rereadings * window if rereadings else window


def _prompt_bound(request: GenerationRequest, window: int) -> int:
    measure = _Measure(request)
    if measure.unknown:
        return window
    bound = (
        _PER_REQUEST
        + _PER_MESSAGE * measure.messages
        + _PER_PART * measure.parts
        + measure.text
        + 2 * measure.json
        + _PER_IMAGE * measure.images
        + -(-measure.audio // _AUDIO_BYTES_PER_TOKEN)
    )
    if measure.tools:
        bound += _ANY_TOOLS + _PER_TOOL * measure.tools
    if request.output_format is not None:
        bound += _ANY_SCHEMA
    return min(bound, window)


def estimate_input(request: GenerationRequest) -> int:
    """About how many input tokens the request is, for a provider that reports no usage.

    Four bytes a token, which is English prose with the common tokenizers, and round figures for the rest.
    Below `input_bound` save where a context window lowers that one.
    """
    measure = _Measure(request)
    return (
        -(-(measure.text + measure.json) // _TYPICAL_BYTES_PER_TOKEN)
        + _TYPICAL_PER_MESSAGE * measure.messages
        + _TYPICAL_PER_IMAGE * measure.images
        + measure.audio // _TYPICAL_AUDIO_BYTES_PER_TOKEN
        + measure.file // _TYPICAL_FILE_BYTES_PER_TOKEN
    )


def estimate_output(produced: int) -> int:
    """About how many tokens `produced` bytes of UTF-8 output are: four bytes a token, rounded up."""
    return -(-produced // _TYPICAL_BYTES_PER_TOKEN)


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _size(json: Raw | None) -> int:
    return 0 if json is None else len(memoryview(json))
