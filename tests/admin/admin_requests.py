"""One request for each endpoint that an administrator of a place may make. A new endpoint needs one here."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, NamedTuple

from admin_world import ANOTHER_KEY, Place

from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.endpoints import Endpoint

_numbers = count(1)


class Said(NamedTuple):
    """Path parameters, and the query or the body."""

    path: Mapping[str, str]
    rest: Mapping[str, Any]


def _new(word: str) -> str:
    return f"{word}-{next(_numbers)}"


_LICENSE: Callable[[Place], dict[str, str]] = lambda place: {"license": place.license}  # noqa: E731

REQUESTS: Mapping[type[v.Verb[Any]], Callable[[Place], Said]] = {
    v.ShowSelf: lambda _: Said({}, {}),
    v.ListInstitutions: lambda _: Said({}, {}),
    v.ShowInstitution: lambda p: Said({"institution": p.institution}, {}),
    v.CreateInstitution: lambda _: Said({}, {"alias": _new("campus")}),
    v.UpdateInstitution: lambda p: Said({"institution": p.institution}, {"name": _new("Name")}),
    v.ListPublicKeys: lambda p: Said({}, {"institution": p.institution}),
    v.ShowPublicKey: lambda p: Said({"public_key": p.public_key}, {}),
    v.CreatePublicKey: lambda p: Said(
        {}, {"institution": p.institution, "key": ANOTHER_KEY, "kid": _new("kid")}
    ),
    v.UpdatePublicKey: lambda p: Said({"public_key": p.public_key}, {"active": False}),
    v.ListRevokedTokens: lambda p: Said({}, {"institution": p.institution}),
    v.RevokeToken: lambda p: Said({}, {"institution": p.institution, "jti": _new("jti")}),
    v.ListLicenseTypes: lambda p: Said({}, {"institution": p.institution}),
    v.ShowLicenseType: lambda p: Said({"license_type": p.license_type}, {}),
    v.CreateLicenseType: lambda p: Said({}, {"institution": p.institution, "alias": _new("type")}),
    v.UpdateLicenseType: lambda p: Said({"license_type": p.license_type}, {"name": _new("Type")}),
    v.ListLicenses: lambda p: Said({}, {"license_type": p.license_type}),
    v.ShowLicense: lambda p: Said(_LICENSE(p), {}),
    v.CreateLicense: lambda p: Said({}, {"license_type": p.license_type, "unique_id": _new("course")}),
    v.UpdateLicense: lambda p: Said(_LICENSE(p), {"name": _new("Course")}),
    v.ListEntries: lambda p: Said(_LICENSE(p), {}),
    v.GrantCredits: lambda p: Said(_LICENSE(p), {"micro_credits": 5, "reason": "more"}),
    v.AdjustCredits: lambda p: Said(_LICENSE(p), {"micro_credits": -5, "reason": "less"}),
    v.RefundCredits: lambda p: Said(
        _LICENSE(p), {"request": p.request, "micro_credits": 1, "reason": "it was wrong"}
    ),
    v.ListAllowances: lambda p: Said(_LICENSE(p), {}),
    v.SetAllowance: lambda p: Said(_LICENSE(p), {"user_id": _new("user"), "micro_credits": 7}),
    v.ListKeys: lambda p: Said({}, {"license": p.license}),
    v.ShowKey: lambda p: Said({"key": p.key}, {}),
    v.CreateKey: lambda p: Said({}, {"license": p.license, "name": _new("key")}),
    v.UpdateKey: lambda p: Said({"key": p.key}, {"name": _new("key")}),
    v.RotateKey: lambda p: Said({"key": p.key}, {"grace_seconds": 3600}),
    rv.ListRosters: lambda p: Said({}, {"institution": p.institution}),
    rv.ImportRoster: lambda p: Said(
        {}, {"roster": _new("roster"), "license_type": p.license_type, "csv": "id\nsomebody"}
    ),
    rv.PlanRoster: lambda p: Said(
        {}, {"roster": _new("roster"), "license_type": p.license_type, "csv": "id\nsomebody"}
    ),
    rv.ShowRoster: lambda p: Said({"roster": p.roster}, {}),
    rv.ListRosterPeople: lambda p: Said({"roster": p.roster}, {}),
    rv.CreateLink: lambda p: Said({"roster": p.roster}, {"person": f"{p.name}-student"}),
    rv.CloseRoster: lambda p: Said({"roster": p.roster}, {}),
    v.ReadUsage: lambda p: Said({}, {"license": p.license, "by": "model"}),
    v.ListRequests: lambda p: Said({}, {"key": p.key}),
    v.ListAudit: lambda p: Said({}, {"institution": p.institution}),
    v.ListAdminKeys: lambda p: Said({}, {"institution": p.institution}),
    v.ShowAdminKey: lambda p: Said({"admin_key": p.admin_key}, {}),
    v.CreateAdminKey: lambda p: Said(
        {}, {"name": _new("key"), "role": "auditor", "institution": p.institution}
    ),
    v.UpdateAdminKey: lambda p: Said({"admin_key": p.admin_key}, {"name": _new("key")}),
    v.RotateAdminKey: lambda p: Said({"admin_key": p.admin_key}, {"grace_seconds": 3600}),
}

PLACELESS = {v.ShowSelf, v.ListInstitutions, v.CreateInstitution}
"""Those that name nothing of a place."""


def wording(endpoint: Endpoint, place: Place) -> tuple[str, Mapping[str, Any]]:
    """Path below /admin/v1, and the keyword of a request that holds the rest."""
    said = REQUESTS[endpoint.verb](place)
    path = endpoint.path.format(**said.path)
    return path, {"params": said.rest} if endpoint.method == "GET" else {"body": said.rest}
