"""What a verb is given to act with, and what it hands back for the audit log."""

from typing import Any, Generic, TypeVar

from msgspec import Struct, UnsetType

from quantized.administration import cursors
from quantized.administration.actor import Actor
from quantized.administration.faults import Unfit
from quantized.administration.records import Page, Record
from quantized.administration.verbs import Listing
from quantized.storage.desk import INSTITUTION, Filter, Kind, Session

A = TypeVar("A")
F = TypeVar("F")
R = TypeVar("R")


class Acting(Struct, frozen=True):
    """One verb's transaction; `now` in Unix milliseconds. `public_url` is where people reach the gateway. Of
    an id, `beginning` characters are enough where no other begins so; None: nothing but the whole."""

    session: Session
    actor: Actor
    now: int
    public_url: str = ""
    beginning: int | None = None

    @property
    def scope(self) -> str | None:
        return self.actor.institution_id

    def find(self, kind: Kind[F], reference: str) -> F:
        """Raises NotFound, Ambiguous."""
        return self.session.find(kind, reference, self.scope, self.beginning)

    def narrowed(self, institution: str | None) -> str | None:
        """The scope, or the one institution of it that is asked for."""
        return self.scope if institution is None else self.find(INSTITUTION, institution).id

    def listed(
        self,
        kind: Kind[F],
        verb: Listing[R],
        institution: str | None = None,
        **wanted: object,
    ) -> tuple[list[F], str | None]:
        """The rows of a page by columns that are wanted (None: whatever they are), and its next cursor."""
        filters = [Filter(column, value) for column, value in wanted.items() if value is not None]
        after = cursors.read(verb.cursor, kind.what, tuple[int, str])
        scope = self.narrowed(institution)
        rows = self.session.page(kind, scope, filters, after, verb.limit + 1)
        if len(rows) <= verb.limit:
            return rows, None
        # Every row has them, which a type variable cannot say.
        last = rows[verb.limit - 1]
        position = (last.created_at, last.id)  # type: ignore[attr-defined]
        return rows[: verb.limit], cursors.write(kind.what, position)


class Done(Struct, Generic[A], frozen=True):
    """`answer` for who asked, and for the audit log what it was done to (`target` of the id `target_id`,
    which is `institution_id`'s) and how that was before and is after. None: it was not there. `also` is what
    was done to other things by the same act. What was `repeated` was done before, and not again now."""

    answer: A
    target: str
    target_id: str
    institution_id: str | None
    before: Record | None
    after: Record | None
    reason: str | None = None
    also: tuple["Done[Any]", ...] = ()
    repeated: bool = False


def page(rows: list[R], next_cursor: str | None) -> Page[R]:
    return Page(data=rows, has_more=next_cursor is not None, next_cursor=next_cursor)


def said(**values: object) -> dict[str, object]:
    """Those that are to change. Raises Unfit where there are none."""
    changes = {name: value for name, value in values.items() if not isinstance(value, UnsetType)}
    if not changes:
        raise Unfit(next(iter(values)), f"say what to change: {', '.join(values)}")
    return changes
