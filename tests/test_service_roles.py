"""Who may call what: every route of the OpenAPI document, as every role and as nobody."""

import pytest

from api.auth import ROLES
from tests.laboratory import Laboratory

READERS = {"operator", "engineer", "approver", "auditor"}
PEOPLE = {"operator", "engineer"}
SIGNERS = {"operator", "engineer", "approver"}
OPEN = None
# Each route with the roles that may call it, and a call that does nothing: a name that does not
# exist or a body that does not fit.
ROUTES = {
    ("POST", "/v1/login"): (OPEN, {}),
    ("GET", "/healthz"): (OPEN, None),
    ("GET", "/readyz"): (OPEN, None),
    ("GET", "/metrics"): (OPEN, None),
    ("POST", "/v1/users"): ({"admin"}, {}),
    ("POST", "/v1/intents"): (PEOPLE, {"text": "minimise cost", "dry_run": True}),
    ("GET", "/v1/decisions"): (READERS, None),
    ("GET", "/v1/decisions/{decision_id}"): (READERS, None),
    ("GET", "/v1/decisions/{decision_id}/events"): (READERS, None),
    ("GET", "/v1/proposals"): (READERS, None),
    ("GET", "/v1/proposals/{proposal_id}"): (READERS, None),
    ("GET", "/v1/proposals/{proposal_id}/bundle"): (READERS, None),
    ("POST", "/v1/proposals/{proposal_id}/approve"): (SIGNERS, {"envelope": {}}),
    ("POST", "/v1/proposals/{proposal_id}/reject"): (SIGNERS, {"envelope": {}}),
    ("GET", "/v1/rollouts"): (READERS, None),
    ("POST", "/v1/rollouts"): (PEOPLE, {}),
    ("POST", "/v1/rollouts/abort"): (PEOPLE, {"reason": ""}),
    ("POST", "/v1/plant/all-local"): (PEOPLE, {}),
    ("POST", "/v1/loops/{loop}/mode"): ({"engineer"}, {"mode": "shadow"}),
    ("POST", "/v1/loops/{point}/override"): (PEOPLE, {}),
    ("POST", "/v1/loops/{point}/hand-back"): (PEOPLE, {}),
    ("POST", "/v1/what-if"): (PEOPLE, {}),
    ("GET", "/v1/ledger/checkpoint"): (READERS, None),
    ("GET", "/v1/ledger/proof/{digest}"): (READERS, None),
    ("POST", "/v1/lab/advance"): (PEOPLE, {}),
}
METHODS = {"get", "post", "put", "patch", "delete"}
DOORS = {"urn:pilothouse:problem:unauthenticated": 401, "urn:pilothouse:problem:forbidden": 403}


def operations_of(lab: Laboratory):
    """(method, path, description) of everything that the service says it offers."""
    paths = lab.app.openapi()["paths"]
    return [
        (method.upper(), path, described)
        for path, methods in paths.items()
        for method, described in methods.items()
        if method in METHODS
    ]


def knock(lab: Laboratory, method: str, path: str, role: str | None):
    """What the door says: 401, 403, or None when it lets the caller in."""
    body = ROUTES[(method, path)][1]
    address = path.replace("{", "no-").replace("}", "")
    answer = lab.ask(method, address, role, **({} if body is None else {"json": body}))
    kind = answer.json().get("type") if "problem" in answer.headers["content-type"] else None
    if kind in DOORS:
        assert answer.status_code == DOORS[kind]
        return answer.status_code
    assert answer.status_code < 500, answer.text
    return None


def test_the_table_names_every_route_of_the_document_and_no_other(lab):
    assert {(m, p) for m, p, _ in operations_of(lab)} == set(ROUTES)


def test_nobody_gets_in_without_a_token_but_where_the_document_says_so(lab):
    for method, path, described in operations_of(lab):
        roles = ROUTES[(method, path)][0]
        assert bool(described.get("security")) is (roles is not OPEN), path
        expected = None if roles is OPEN else 401
        if (method, path) != ("POST", "/v1/login"):  # that one judges a password, not a token
            assert knock(lab, method, path, None) == expected, (method, path)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_own_doors_and_no_other(lab, role):
    for method, path, _ in operations_of(lab):
        roles = ROUTES[(method, path)][0]
        expected = None if roles is OPEN or role in roles else 403
        assert knock(lab, method, path, role) == expected, (method, path)


def test_who_may_not_come_in_learns_nothing_about_the_request(lab):
    answer = lab.post("/v1/users", {"nonsense": 1}, "auditor")
    assert answer.status_code == 403
    assert "errors" not in answer.json()


def test_a_user_that_the_admin_adds_has_the_roles_given_and_no_others(lab):
    body = {"name": "ada", "password": "a long password", "roles": ["auditor"]}
    assert lab.post("/v1/users", body, "admin").status_code == 201
    token = lab.post("/v1/login", {"name": "ada", "password": "a long password"}, None).json()
    header = {"Authorization": f"Bearer {token['token']}"}
    assert lab.http.get("/v1/rollouts", headers=header).status_code == 200
    assert lab.http.post("/v1/plant/all-local", headers=header).status_code == 403
    for wrong in ({"roles": ["root"]}, {"roles": []}, {"password": "short"}):
        assert lab.post("/v1/users", body | wrong, "admin").status_code == 422
