"""The usual frame, read without parsing it.

The frames of one stream differ in nothing but their text: what stands before and after it is the same in
each, byte for byte. So once a frame was parsed and found to hold text alone, the next one with the same
surroundings holds text alone too, and the text is what stands between, as long as it needs no unescaping.

Some servers say `"role":"assistant"` in each frame. Clients add up the strings that they read, so it is left
out of what is handed on.
"""

import re

_QUOTE, _BACKSLASH = b'"\\'
_CONTENT = re.compile(rb'"content": ?"')
_ROLE = re.compile(rb'"role": ?"assistant", ?')


class Template:
    """The surroundings of the last plain frame."""

    __slots__ = ("_after", "_before", "_shown")

    def __init__(self) -> None:
        self._before = b""
        self._after = b""
        self._shown = b""

    def learn(self, payload: bytes, text: str) -> None:
        """`payload` was parsed and tells `text` and nothing else."""
        matches = list(_CONTENT.finditer(payload))
        if len(matches) != 1:
            return
        start = matches[0].end()
        end = payload.find(b'"', start)
        if payload[start:end] == text.encode("utf-8", "surrogatepass"):
            self._before, self._after = payload[:start], payload[end:]
            self._shown = _ROLE.sub(b"", self._before, count=1)
            if b'"role"' in self._shown or b'"role"' in self._after:
                self._shown = b""

    def read(self, payload: bytes) -> tuple[str, bytes | None] | None:
        """(text, what may be handed on of the frame) for a frame with the same surroundings; None where only
        parsing can tell."""
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
        if not text or not text.isprintable():
            return None
        return text, self._shown + literal + after if self._shown else None
