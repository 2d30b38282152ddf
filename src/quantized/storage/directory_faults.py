"""Why the directory cannot do what an administrator asks. Imports no database library."""


class DirectoryFault(Exception):
    """What was asked cannot be done; the message says why, for an administrator."""


class NotFound(DirectoryFault):
    def __init__(self, what: str, reference: str) -> None:
        super().__init__(f"there is no {what} {reference!r}")
        self.what = what
        self.reference = reference


class Ambiguous(DirectoryFault):
    """`candidates` are ids, a few of them where there are many."""

    def __init__(self, what: str, reference: str, candidates: list[str]) -> None:
        super().__init__(f"more than one {what} is called {reference!r}: {', '.join(candidates)}")
        self.what = what
        self.reference = reference
        self.candidates = candidates


class AlreadyExists(DirectoryFault):
    pass
