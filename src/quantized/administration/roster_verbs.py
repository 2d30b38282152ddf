"""What an administrator can say of rosters."""

from typing import Annotated, Literal

from msgspec import Meta

from quantized.administration import words as w
from quantized.administration.roster_file import LARGEST
from quantized.administration.roster_records import (
    NewLinkRecord,
    PersonRecord,
    RosterImportRecord,
    RosterRecord,
)
from quantized.administration.verbs import Listing, Verb

Csv = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=LARGEST,
        description="The file's text. The first line names the columns: `id` or `email`, and as you like "
        "`name`, `credits`, `expires`. Cells are separated by commas, semicolons or tabs.",
    ),
]
LinkDays = Annotated[int, Meta(ge=1, le=90, description="For how long links can be used.")]
HandOut = Literal["nothing", "links", "keys"]


class Import(Verb[RosterImportRecord], frozen=True, kw_only=True):
    """Common to both of the next."""

    roster: w.Alias
    csv: Csv
    license_type: w.Reference | None = None
    license: w.Reference | None = None
    micro_credits: w.MicroCredits | None = None
    expires_at: w.Moment | None = None
    hand_out: HandOut = "nothing"
    link_days: LinkDays = 14
    renews_links: bool = False
    renews_keys: bool = False
    removes_most: bool = False


class PlanRoster(Import, frozen=True, kw_only=True):
    """What ImportRoster would do; nothing is done."""


class ImportRoster(Import, frozen=True, kw_only=True):
    """Makes a roster of a file, or brings one up to it: whoever is new gets access, whoever is missing loses
    it and keeps balance and history, whoever is back has the old licence. All of it or, where anything is
    wrong, nothing. With `license_type` each person gets a licence of it; with `license` all share that one,
    each with an allowance; later neither need be said. `micro_credits` and `expires_at` count for
    those who are new and of whom the file does not say it; an empty cell leaves what somebody has as it is
    (but an end that has passed gives way to `expires_at` where somebody comes back). `hand_out`: what
    everybody gets who has neither a key that works nor an open link; with `renews_links` also who has an open
    link, with `renews_keys` also who has a key: that link works no more then, and neither do the person's own
    keys. `removes_most`: whether more than half of the people may be removed."""


class ListRosters(Listing[RosterRecord], frozen=True, kw_only=True):
    institution: w.Reference | None = None


class ShowRoster(Verb[RosterRecord], frozen=True, kw_only=True):
    roster: w.PathReference


class ListRosterPeople(Listing[PersonRecord], frozen=True, kw_only=True):
    """By their ids; also those who were removed, unless `active` says which."""

    roster: w.PathReference
    active: bool | None = None


class CreateLink(Verb[NewLinkRecord], frozen=True, kw_only=True):
    """A new link for somebody; their open one works no more. `stop_keys`: nor do the keys that they have.
    Signed tokens are not meant by that."""

    roster: w.PathReference
    person: w.UniqueId
    link_days: LinkDays = 14
    stop_keys: bool = False


class CloseRoster(Verb[RosterImportRecord], frozen=True, kw_only=True):
    """Removes everybody. An import brings them back."""

    roster: w.PathReference
