"""The bench compares like with like, and the one definition holds its own in it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from api.bench_rollouts import WITHIN, _compare, _contenders, _futures
from api.commands.bench import bench
from api.rollout_rivals import numpy_rollouts


def test_the_contenders_roll_out_the_same_futures_and_a_wrong_one_would_show(
    tmp_path: Path,
) -> None:
    contenders = {
        name: run for name, run in _contenders(2, tmp_path).items() if "numba" not in name
    }
    assert len(contenders) >= 3
    x0, u, p = (a[:50] for a in _futures(np.random.default_rng(1)))
    assert _compare(contenders, (x0, u, p)) < 1e-9
    assert _compare({**contenders, "wrong": numpy_rollouts(901.0)}, (x0, u, p)) > 1e-6


@pytest.mark.slow
def test_the_one_definition_is_within_its_target_of_the_fastest_hand_written() -> None:
    done = CliRunner().invoke(bench, ["rollouts", "--quick", "--json"], catch_exceptions=False)
    figures = {row["name"]: row for row in json.loads(done.stdout)["figures"]}
    assert figures["largest relative difference of their results"]["ok"]
    assert figures["fastest hand-written over ours"]["value"] <= WITHIN
