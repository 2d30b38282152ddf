"""Where `/admin/v1` has each verb: one table that the server routes by, the description is made from, and a
client finds its way with."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from quantized.administration import records as r
from quantized.administration import roster_records as rr
from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.actor import Role

PREFIX = "/admin/v1"

Method = Literal["GET", "POST", "PATCH"]
_PARAMETER = re.compile(r"\{(\w+)\}")

READERS: frozenset[Role] = frozenset({"operator", "institution_admin", "auditor"})
ADMINS: frozenset[Role] = frozenset({"operator", "institution_admin"})
OPERATORS: frozenset[Role] = frozenset({"operator"})


class Endpoint(Struct, frozen=True, dict=True):
    """`path` is below PREFIX and names the verb's fields that are in it; the others are the query of a GET,
    and the body of the rest. `roles` may say it at all; what exactly, the verb judges. What `has_csv` is also
    to be had as a table. What `plans` only says what an act would do."""

    method: Method
    path: str
    verb: type[v.Verb[Any]]
    answer: Any
    summary: str
    roles: frozenset[Role]
    has_csv: bool = False
    plans: bool = False

    @property
    def status(self) -> int:
        return 201 if self.method == "POST" and not self.plans else 200

    @property
    def name(self) -> str:
        """What the audit log calls the act, and the description the operation."""
        return self.verb.__name__[0].lower() + self.verb.__name__[1:]

    @property
    def tag(self) -> str:
        return self.path.split("/")[1]

    @cached_property
    def in_path(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))

    @cached_property
    def rest(self) -> type[Struct]:
        """The verb without what the path says."""
        names = [
            (field.name, field.type, *_default(field))
            for field in fields(self.verb)
            if field.name not in self.in_path
        ]
        return msgspec.defstruct(
            f"{self.verb.__name__}Body",
            names,
            namespace={"__doc__": self.verb.__doc__},
            frozen=True,
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def said(self, in_path: Mapping[str, str], rest: Struct) -> v.Verb[Any]:
        return self.verb(**in_path, **{name: getattr(rest, name) for name in rest.__struct_fields__})


def _default(field: msgspec.structs.FieldInfo) -> tuple[Any, ...]:
    if field.default is not NODEFAULT:
        return (field.default,)
    if field.default_factory is not NODEFAULT:
        return (msgspec.field(default_factory=field.default_factory),)
    return ()


def _one(name: str) -> str:
    return f"/{name}s/{{{name.replace('-', '_')}}}"


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/self", v.ShowSelf, r.ActorRecord, "Who is asking", READERS),
    Endpoint(
        "GET", "/institutions", v.ListInstitutions, r.Page[r.InstitutionRecord], "Institutions", READERS
    ),
    Endpoint(
        "POST", "/institutions", v.CreateInstitution, r.InstitutionRecord, "Make an institution", OPERATORS
    ),
    Endpoint("GET", _one("institution"), v.ShowInstitution, r.InstitutionRecord, "One institution", READERS),
    Endpoint("PATCH", _one("institution"), v.UpdateInstitution, r.InstitutionRecord, "Rename it", ADMINS),
    Endpoint("GET", "/public-keys", v.ListPublicKeys, r.Page[r.PublicKeyRecord], "Public keys", READERS),
    Endpoint("POST", "/public-keys", v.CreatePublicKey, r.PublicKeyRecord, "Register a public key", ADMINS),
    Endpoint("GET", _one("public-key"), v.ShowPublicKey, r.PublicKeyRecord, "One public key", READERS),
    Endpoint(
        "PATCH", _one("public-key"), v.UpdatePublicKey, r.PublicKeyRecord, "Stop, or limit in time", ADMINS
    ),
    Endpoint(
        "GET",
        "/revoked-tokens",
        v.ListRevokedTokens,
        r.Page[r.RevokedTokenRecord],
        "Revoked signed tokens",
        READERS,
    ),
    Endpoint(
        "POST",
        "/revoked-tokens",
        v.RevokeToken,
        r.RevokedTokenRecord,
        "Refuse a signed token for good",
        ADMINS,
    ),
    Endpoint(
        "GET", "/license-types", v.ListLicenseTypes, r.Page[r.LicenseTypeRecord], "Licence types", READERS
    ),
    Endpoint(
        "POST", "/license-types", v.CreateLicenseType, r.LicenseTypeRecord, "Make a licence type", OPERATORS
    ),
    Endpoint(
        "GET", _one("license-type"), v.ShowLicenseType, r.LicenseTypeRecord, "One licence type", READERS
    ),
    Endpoint("PATCH", _one("license-type"), v.UpdateLicenseType, r.LicenseTypeRecord, "Change it", ADMINS),
    Endpoint("GET", "/licenses", v.ListLicenses, r.Page[r.LicenseRecord], "Licences", READERS),
    Endpoint("POST", "/licenses", v.CreateLicense, r.LicenseRecord, "Make a licence", ADMINS),
    Endpoint("GET", _one("license"), v.ShowLicense, r.LicenseRecord, "One licence", READERS),
    Endpoint("PATCH", _one("license"), v.UpdateLicense, r.LicenseRecord, "Rename, stop or allow it", ADMINS),
    Endpoint(
        "GET",
        _one("license") + "/credits",
        v.ListEntries,
        r.Page[r.EntryRecord],
        "Its ledger, entry by entry",
        READERS,
    ),
    Endpoint(
        "POST", _one("license") + "/credits/grants", v.GrantCredits, r.CreditsRecord, "Give credits", ADMINS
    ),
    Endpoint(
        "POST",
        _one("license") + "/credits/adjustments",
        v.AdjustCredits,
        r.CreditsRecord,
        "Correct the balance",
        ADMINS,
    ),
    Endpoint(
        "POST",
        _one("license") + "/credits/refunds",
        v.RefundCredits,
        r.CreditsRecord,
        "Give back what a request was charged",
        ADMINS,
    ),
    Endpoint(
        "GET",
        _one("license") + "/allowances",
        v.ListAllowances,
        r.Page[r.AllowanceRecord],
        "What its users may use of it",
        READERS,
    ),
    Endpoint(
        "POST",
        _one("license") + "/allowances",
        v.SetAllowance,
        r.AllowanceRecord,
        "Set what one user may use of it",
        ADMINS,
    ),
    Endpoint("GET", "/keys", v.ListKeys, r.Page[r.KeyRecord], "Keys, without their secrets", READERS),
    Endpoint("POST", "/keys", v.CreateKey, r.NewKeyRecord, "Make a key; it is shown this once", ADMINS),
    Endpoint("GET", _one("key"), v.ShowKey, r.KeyRecord, "One key, without its secret", READERS),
    Endpoint("PATCH", _one("key"), v.UpdateKey, r.KeyRecord, "Rename, stop or allow it", ADMINS),
    Endpoint(
        "POST", _one("key") + "/rotations", v.RotateKey, r.NewKeyRecord, "A new one in its place", ADMINS
    ),
    Endpoint("GET", "/rosters", rv.ListRosters, r.Page[rr.RosterRecord], "Rosters", READERS),
    Endpoint(
        "POST",
        "/rosters",
        rv.ImportRoster,
        rr.RosterImportRecord,
        "Make a roster of a file, or bring it up to one",
        ADMINS,
    ),
    Endpoint(
        "POST",
        "/roster-plans",
        rv.PlanRoster,
        rr.RosterImportRecord,
        "What an import would do; nothing is done",
        ADMINS,
        plans=True,
    ),
    Endpoint("GET", _one("roster"), rv.ShowRoster, rr.RosterRecord, "One roster", READERS),
    Endpoint(
        "GET",
        _one("roster") + "/people",
        rv.ListRosterPeople,
        r.Page[rr.PersonRecord],
        "Who is on it, and was",
        READERS,
    ),
    Endpoint(
        "POST",
        _one("roster") + "/links",
        rv.CreateLink,
        rr.NewLinkRecord,
        "A new one-time link for somebody; it is shown this once",
        ADMINS,
    ),
    Endpoint(
        "POST",
        _one("roster") + "/closings",
        rv.CloseRoster,
        rr.RosterImportRecord,
        "End everybody's access",
        ADMINS,
    ),
    Endpoint("GET", "/usage", v.ReadUsage, r.Page[r.UsageRecord], "What was used and charged", READERS, True),
    Endpoint(
        "GET", "/usage/requests", v.ListRequests, r.Page[r.RequestRecord], "Each request", READERS, True
    ),
    Endpoint("GET", "/audit-log", v.ListAudit, r.Page[r.AuditRecord], "Who did what", READERS),
    Endpoint(
        "GET",
        "/admin-keys",
        v.ListAdminKeys,
        r.Page[r.AdminKeyRecord],
        "Admin keys, without secrets",
        READERS,
    ),
    Endpoint(
        "POST",
        "/admin-keys",
        v.CreateAdminKey,
        r.NewAdminKeyRecord,
        "Make an admin key; it is shown this once",
        OPERATORS,
    ),
    Endpoint("GET", _one("admin-key"), v.ShowAdminKey, r.AdminKeyRecord, "One admin key", READERS),
    Endpoint(
        "PATCH", _one("admin-key"), v.UpdateAdminKey, r.AdminKeyRecord, "Rename, stop or allow it", OPERATORS
    ),
    Endpoint(
        "POST",
        _one("admin-key") + "/rotations",
        v.RotateAdminKey,
        r.NewAdminKeyRecord,
        "A new one in its place",
        ADMINS,
    ),
)

BY_VERB: Mapping[type[v.Verb[Any]], Endpoint] = {endpoint.verb: endpoint for endpoint in ENDPOINTS}
