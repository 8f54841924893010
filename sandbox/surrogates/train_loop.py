"""Training by torch: single steps first, then short roll-outs, so that errors do not pile up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graph.errors import UnavailableError
from sandbox.surrogates.initial_weights import Weights
from sandbox.surrogates.networks import CONSTANTS, Kind, ode_step, residual_step
from sandbox.surrogates.training_data import Futures

Ints = NDArray[np.int64]
WINDOW_S, LEAST_WINDOW, MOST_WINDOW = 7200.0, 8, 24


@dataclass(frozen=True)
class Stage:
    """`updates` of Adam on `batch` windows of `steps` steps; the rate falls along a cosine."""

    steps: int
    updates: int
    batch: int
    rate: float


@dataclass(frozen=True)
class Training:
    """What is learned and how. balance: weight of the penalty on energy that no heat explains."""

    kind: Kind
    stages: tuple[Stage, ...]
    hidden: int
    substeps: int = 1
    balance: float = 0.0


def window_steps(step_s: float) -> int:
    """Steps of the roll-outs that are trained on: two hours, within what is affordable."""
    return min(MOST_WINDOW, max(LEAST_WINDOW, round(WINDOW_S / step_s)))


def require_torch() -> Any:
    """torch. Raises UnavailableError naming the extra."""
    try:
        import torch
    except ImportError as error:
        raise UnavailableError(
            "training needs torch and onnx", "pip install 'pilothouse[train]'"
        ) from error
    return torch


class TorchOperations:
    """`networks.Operations` on tensors."""

    def __init__(self, torch: Any) -> None:
        self.relu, self.tanh, self.add, self.mul = torch.relu, torch.tanh, torch.add, torch.mul
        self._addmm, self._cat = torch.addmm, torch.cat

    def gemm(self, a: Any, weight: Any, offset: Any) -> Any:
        """a weight + offset."""
        return self._addmm(offset, a, weight)

    def concat(self, *parts: Any) -> Any:
        """Columns side by side."""
        return self._cat(parts, dim=1)


def train(training: Training, data: Futures, active: Ints, start: Weights, seed: int) -> Weights:
    """Weights after all stages. The same arguments give the same bytes on the same machine."""
    torch = require_torch()
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        return _train(torch, training, data, active, start, np.random.default_rng(seed))
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def _train(
    torch: Any, training: Training, data: Futures, active: Ints, start: Weights,
    generator: np.random.Generator,
) -> Weights:  # fmt: skip
    ops = TorchOperations(torch)
    w = {n: torch.tensor(v) for n, v in start.items()}
    learned = [n for n in w if n not in CONSTANTS]
    for name in learned:
        w[name].requires_grad_(True)
    path = np.concatenate([data.x0[:, None], data.states], axis=1)
    tables = [np.ascontiguousarray(t, dtype=np.float32)
              for t in (path, data.u[..., active], data.outputs)]  # fmt: skip
    for stage in training.stages:
        adam = torch.optim.Adam([w[n] for n in learned], lr=stage.rate)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(adam, stage.updates)
        for _ in range(stage.updates):
            x, u, y = (torch.tensor(t) for t in _windows(tables, stage, generator))
            loss = _loss(torch, ops, training, w, x, u, y)
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([w[n] for n in learned], 1.0)
            adam.step()
            rates.step()
    return {n: v.detach().numpy().copy() for n, v in w.items()}


def _windows(
    tables: list[NDArray[np.float32]], stage: Stage, generator: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Random windows, time first: x (n + 1, B, S), u (n, B, U), y (n, B, Y)."""
    path, u, y = tables
    futures, steps = u.shape[:2]
    length = min(stage.steps, steps)
    future = generator.integers(futures, size=stage.batch)[None]
    begin = generator.integers(steps - length + 1, size=stage.batch)[None]
    at = begin + np.arange(length + 1)[:, None]
    return [path[future, at], u[future, at[:-1]], y[future, at[:-1]]]


def _loss(
    torch: Any, ops: TorchOperations, training: Training, w: dict[str, Any], x: Any, u: Any, y: Any
) -> Any:
    """Mean squared error of states in usual changes and outputs in their spread."""
    now, total = x[0], 0.0
    # The neural ODE's output scale holds its stages' weights; errors are judged in the spread.
    stages = 6 * training.substeps if training.kind == "neural-ode" else 1
    for k in range(len(u)):
        if training.kind == "residual":
            now, shown, r = residual_step(ops, w, now, u[k])
            if training.balance:
                total = total + training.balance * torch.mean(r * r)
        else:
            now, shown = ode_step(ops, w, now, u[k], training.substeps)
        total = total + torch.mean(((now - x[k + 1]) / w["dx_scale"]) ** 2)
        total = total + torch.mean(((shown - y[k]) / (w["y_scale"] * stages)) ** 2)
    return total / len(u)
