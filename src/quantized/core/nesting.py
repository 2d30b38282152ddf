"""How deep JSON reaches. Asked of what has been decoded, for decoders stop where their version says."""


def is_deeper(value: object, depth: int) -> bool:
    """Whether there are more than `depth` arrays and objects inside each other. Calls nothing recursively."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)
