"""A against B on the same cases: the interval holds the truth, and chance is called chance."""

import json
from itertools import product

import numpy as np
import pytest

from graph.errors import InputError, IntegrityError, RefusedError
from graph.plan import SolveStatus
from sandbox.ab import (
    compare_days,
    compare_plans,
    comparison_text,
    p_text,
    paired,
    sign_flip_p,
)
from tests.shadow_digest import twin
from tests.test_shadow import SITE, plan, snapshot

TWIN = twin()


def test_a_sign_flip_test_of_few_cases_counts_every_sign() -> None:
    difference = np.array([0.4, 1.1, -0.3, 2.0, 0.9])
    sums = [abs(sum(s * d for s, d in zip(signs, difference, strict=True)))
            for signs in product((1, -1), repeat=5)]  # fmt: skip
    expected = np.mean([x >= abs(difference.sum()) - 1e-12 for x in sums])
    assert sign_flip_p(difference) == pytest.approx(expected)
    assert sign_flip_p(np.zeros(8)) == 1.0
    assert sign_flip_p(np.full(6, 2.0)) == pytest.approx(2 / 64)
    many = np.full(40, 1.0)
    assert sign_flip_p(many) == pytest.approx(1 / 20_001)
    assert sign_flip_p(many, 3) == sign_flip_p(many, 3)


def test_p_values_of_equal_controllers_are_uniform() -> None:
    found = []
    for seed in range(250):
        g = np.random.default_rng(seed)
        found.append(sign_flip_p(g.standard_t(3, size=14), seed))
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_pairing_sees_what_separate_samples_would_not() -> None:
    g = np.random.default_rng(0)
    weather = g.normal(50, 20, 60)
    a, b = weather + g.normal(0, 1, 60), weather - 1.0 + g.normal(0, 1, 60)
    found = paired(a, b, "USD")
    assert found.mean == pytest.approx(-1.0, abs=0.5)
    assert found.high < 0
    assert found.p_value < 0.001
    assert 0.6 < found.share_lower < 0.95
    assert found.cases == 60
    shuffled = paired(a, g.permutation(b), "USD")
    assert shuffled.low < 0 < shuffled.high
    covered = 0
    for seed in range(300):
        g = np.random.default_rng(seed)
        d = paired(np.zeros(25), g.normal(0.3, 1.0, 25), "USD")
        covered += d.low <= 0.3 <= d.high
    assert covered / 300 == pytest.approx(0.95, abs=0.035)


def test_a_plan_against_itself_differs_by_nothing_and_against_another_by_its_cost() -> None:
    image = snapshot()
    same = compare_plans(SITE, TWIN, image, plan("a", battery=4), plan("b", battery=4), 30, 1)
    for found in same.differences.values():
        assert (found.mean, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)
    charged = compare_plans(SITE, TWIN, image, None, plan("charge", battery=8), 30, 1)
    assert (charged.a, charged.b) == ("doing nothing", "charge")
    peak = charged.differences["peak"]
    assert peak.mean > 1.0
    assert peak.low > 0
    assert peak.p_value < 0.01
    again = compare_plans(SITE, TWIN, image, None, plan("charge", battery=8), 30, 1)
    assert again == charged
    assert "charge - doing nothing, 30 futures" in comparison_text(charged)
    late = plan("late", SolveStatus.TIME_LIMIT, battery=1)
    with pytest.raises(RefusedError, match="unusable_plan"):
        compare_plans(SITE, TWIN, image, None, late, 5, 1)


def test_closed_loop_days_are_compared_day_by_day() -> None:
    g = np.random.default_rng(5)
    a = [{"cost": 60 + 10 * x, "energy": 200 + 30 * x, "note": 1.0} for x in g.normal(size=14)]
    b = [{"cost": d["cost"] - 4 + y, "energy": d["energy"]} for d, y in zip(a, g.normal(size=14))]  # noqa: B905
    found = compare_days(("baseline", "copilot"), a, b, "USD")
    assert set(found.differences) == {"cost", "energy"}
    cost = found.differences["cost"]
    assert (cost.unit, cost.cases) == ("USD", 14)
    assert cost.high < -2
    assert cost.p_value == pytest.approx(2 / 2**14)
    assert found.differences["energy"].p_value == 1.0
    assert p_text(cost.p_value) == "0.0001"
    with pytest.raises(InputError, match="14 days against 13"):
        compare_days(("a", "b"), a, b[:-1], "USD")


@pytest.fixture(scope="module")
def past(laboratory, tmp_path_factory):
    """A signed decision of the laboratory as a file, with its root of trust beside it."""
    laboratory.quiet()
    proposal_id, _ = laboratory.propose()
    entry = laboratory.desk.entry(proposal_id)
    data = laboratory.operations.copilot.bundle_file(entry.signed, ())
    folder = tmp_path_factory.mktemp("past")
    (folder / "bundle.json").write_bytes(data)
    (folder / "root.json").write_bytes(laboratory.loop.workspace.root_file.read_bytes())
    return laboratory, entry, folder


def test_a_past_decision_meets_another_sentence_another_plan_and_other_futures(past) -> None:
    from api.counterfactual import counterfactual

    laboratory, entry, folder = past
    data = (folder / "bundle.json").read_bytes()
    idle = counterfactual(data, laboratory.root, None, None, 77)
    assert idle.seed == 77
    assert idle.comparison.b == "doing nothing"
    assert idle.comparison.differences["settled_cost"].mean > 0  # it was worth deciding
    again = counterfactual(data, laboratory.root, None, None, 77)
    assert again.comparison == idle.comparison
    comfy = counterfactual(
        data,
        laboratory.root,
        "minimise CO2 until tomorrow 06:00, keep the rooms between 21 and 24 °C",
        None,
        None,
    )
    assert comfy.outcome
    assert "21" in comfy.restatement
    assert comfy.seed == entry.proposal.provenance.seeds["futures"]
    file = folder / "plan.json"
    steps = entry.proposal.sandbox_results.shadow.horizon_steps
    file.write_text(json.dumps({"battery.power_set_kw": [0.0] * steps}))
    stood = counterfactual(data, laboratory.root, None, file, None)
    assert stood.comparison.b == "plan"
    assert stood.comparison.differences["settled_cost"].mean > 0


def test_what_cannot_be_compared_is_refused_by_name(past, run_pilothouse) -> None:
    from api.counterfactual import counterfactual

    laboratory, _, folder = past
    data = (folder / "bundle.json").read_bytes()
    with pytest.raises(InputError, match="a sentence and a plan"):
        counterfactual(data, laboratory.root, "save energy", folder / "bundle.json", None)
    at = data.index(b'"payload":"') + 400
    forged = data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]
    with pytest.raises(IntegrityError):
        counterfactual(forged, laboratory.root, None, None, 1)
    wrong = folder / "wrong.json"
    wrong.write_text('{"battery.power_set_kw": "much"}')
    run = run_pilothouse("replay", folder / "bundle.json", "--plan", wrong, "--json")
    assert run.returncode == 2
    assert "battery.power_set_kw" in json.loads(run.stdout)["message"]
