"""The usual frame, read without parsing it.

The frames of one stream differ in nothing but their text: what stands before and after it is the same in
each, byte for byte. So once a frame was parsed and found to hold text alone, the next one with the same
surroundings holds text alone too, and the text is what stands between, as long as it needs no unescaping.

Some servers say `"role":"assistant"` in each frame. Clients add up the strings that they read, so it is left
out of what is handed on.
"""

import re

_CONTENT = re.compile(rb'"content": ?"')
_ROLE = re.compile(rb'"role": ?"assistant", ?')

# JSON text that stands for itself: no quote, no escape, no control character; and some of it, for empty text
# is no delta. Whether it is UTF-8 is not said here.
_is_literal = re.compile(rb'[^"\\\x00-\x1f]+').fullmatch

_DATA = b"data: "
_BLANK = b"\n\n"

_RELAYED_BYTES = 1024 * 1024
"""More at once is read frame by frame, as are frames that are longer than a frame may be."""


class Template:
    """The surroundings of the last plain frame."""

    __slots__ = (
        "_after",
        "_before",
        "_cut",
        "_frame_begins",
        "_frame_ends",
        "_shown",
        "_text_begins",
        "_text_ends",
    )

    def __init__(self) -> None:
        self._before = b""
        self._after = b""
        self._shown = b""
        # The same as they stand in a stream; and where, from the beginning and from the end, the text is.
        self._frame_begins = b""
        self._frame_ends = b""
        self._text_begins = 0
        self._text_ends = 0
        self._cut = False

    def learn(self, payload: bytes, text: str, *, shown: bool) -> None:
        """`payload` was parsed and tells `text` and nothing else. `shown`: it may be handed on."""
        matches = list(_CONTENT.finditer(payload))
        if len(matches) != 1:
            return
        start = matches[0].end()
        end = payload.find(b'"', start)
        if payload[start:end] == text.encode("utf-8", "surrogatepass"):
            self._before, self._after = payload[:start], payload[end:]
            self._shown = _ROLE.sub(b"", self._before, count=1)
            if not shown or b'"role"' in self._shown or b'"role"' in self._after:
                self._shown = b""
            self._frame_begins, self._frame_ends = _DATA + self._before, self._after + _BLANK
            self._text_begins, self._text_ends = len(self._frame_begins), len(self._frame_ends)
            self._cut = self._shown != self._before

    def read(self, payload: bytes) -> tuple[str, bytes | None] | None:
        """(text, what may be handed on of the frame) for a frame with the same surroundings; None where only
        parsing can tell."""
        before, after = self._before, self._after
        if not before or not payload.startswith(before) or not payload.endswith(after):
            return None
        start, end = len(before), len(payload) - len(after)
        if not _is_literal(payload, start, end):
            return None
        literal = payload[start:end]
        try:
            text = literal.decode()
        except UnicodeDecodeError:
            return None
        return text, self._shown + literal + after if self._shown else None

    @property
    def relays(self) -> bool:
        """A frame has been learned, and may be handed on."""
        return bool(self._shown)

    def relay(self, data: bytes) -> tuple[bytes, int] | None:
        """(`data` as it may be handed on, the bytes of text in it) where it is nothing but whole frames with
        the same surroundings; None where it takes a closer look. Only while `relays`.

        What `read` would make of each frame, without making anything of it: nearly every piece of a stream is
        one such frame.
        """
        begins = self._frame_begins
        if not (data.startswith(begins) and data.endswith(self._frame_ends)):
            return None
        size = len(data)
        if size > _RELAYED_BYTES:
            return None
        if _is_literal(data, self._text_begins, size - self._text_ends):
            count = 1
        elif (count := self._count(data)) == 0:
            return None
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                return None
        text = size - count * (self._text_begins + self._text_ends)
        return data.replace(begins, _DATA + self._shown) if self._cut else data, text

    def _count(self, data: bytes) -> int:
        """How many frames these are; 0 where one of them is another."""
        begins, after, start = self._frame_begins, self._after, self._text_begins
        frames = data.split(_BLANK)
        frames.pop()  # What follows the last blank line: nothing.
        for frame in frames:
            if not (
                frame.startswith(begins)
                and frame.endswith(after)
                and _is_literal(frame, start, len(frame) - len(after))
            ):
                return 0
        return len(frames)
