"""The usual frame, read without parsing it.

The frames of one stream differ in nothing but their text: what stands before and after it is the same in
each, byte for byte. So once a frame was parsed and found to hold text alone, the next one with the same
surroundings holds text alone too, and the text is what stands between, as long as it needs no unescaping.
"""

import re

_QUOTE, _BACKSLASH = b'"\\'
_CONTENT = re.compile(rb'"content": ?"')


class Template:
    """The surroundings of the last plain frame."""

    __slots__ = ("_after", "_before")

    def __init__(self) -> None:
        self._before = b""
        self._after = b""

    def learn(self, payload: bytes, text: str) -> None:
        """`payload` was parsed and tells `text` and nothing else."""
        matches = list(_CONTENT.finditer(payload))
        if len(matches) != 1:
            return
        start = matches[0].end()
        end = payload.find(b'"', start)
        if payload[start:end] == text.encode("utf-8", "surrogatepass"):
            self._before, self._after = payload[:start], payload[end:]

    def read(self, payload: bytes) -> str | None:
        """The text of a frame with the same surroundings; None where only parsing can tell."""
        before, after = self._before, self._after
        if not before or not payload.startswith(before) or not payload.endswith(after):
            return None
        literal = payload[len(before) : len(payload) - len(after)]
        if _QUOTE in literal or _BACKSLASH in literal:
            return None
        try:
            text = literal.decode()
        except UnicodeDecodeError:
            return None
        # A bare control character makes it no JSON. Empty text is no delta.
        return text if text.isprintable() and text else None
