"""The administration API, fuzzed from its own description: never a fault of ours, and always what it says."""

import json
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from admin_world import CLOCK, World, furnish, served
from database_copies import Templates
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from quantized.admin.openapi import description
from quantized.administration.administration import Administration
from quantized.administration.endpoints import ENDPOINTS, PREFIX, Endpoint

EXAMPLES = 6
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DESCRIPTION = schemathesis.openapi.from_dict(json.loads(description()))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Iterator[tuple[str, World]]:
    """One database for all: what is made of it on the way makes the rest the harder."""
    url = templates.sqlite(tmp_path_factory.mktemp("fuzzed") / "quantized.db")
    world = furnish(url)
    desk = Administration(url, CLOCK, kept=4)
    with served(lambda: desk) as port:
        yield f"http://127.0.0.1:{port}", world


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_nothing_that_the_description_allows_or_forbids_is_a_fault_of_ours(
    fuzzed: tuple[str, World], endpoint: Endpoint
) -> None:
    base, world = fuzzed
    operation = DESCRIPTION[PREFIX + endpoint.path][endpoint.method]
    real = {
        "institution": world.ours.institution,
        "public_key": world.ours.public_key,
        "license_type": world.ours.license_type,
        "license": world.ours.license,
        "key": world.ours.key,
        "admin_key": world.ours.admin_key,
        "roster": world.ours.roster,
    }
    secrets = [world.secrets["operator"], world.secrets["auditor"], world.theirs.secrets["institution_admin"]]
    cases = operation.as_strategy()
    if endpoint.verb.__struct_fields__ and (endpoint.in_path or endpoint.rest.__struct_fields__):
        cases |= operation.as_strategy(GenerationMode.NEGATIVE)

    with requests.Session() as session:

        @given(case=cases, there=st.booleans(), secret=st.sampled_from([secrets[0], *secrets]))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def say(case: schemathesis.Case, there: bool, secret: str) -> None:
            if there:
                # Else nearly everything would be said to what is not there.
                case.path_parameters.update({name: real[name] for name in endpoint.in_path})
                if isinstance(case.body, dict):
                    case.body.update({name: real[name] for name in real.keys() & case.body.keys()})
            case.headers.pop("Authorization", None)
            headers = {"authorization": f"Bearer {secret}"}
            answer = case.call(base_url=base, session=session, headers=headers, timeout=50)
            case.validate_response(answer, checks=CHECKS)

        say()
