"""Behaviour cloning: an actor fitted to examples by least squares, with torch."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from graph.errors import UnavailableError
from planner.rl.actor import Actor, Floats, normalisation
from planner.rl.demonstrations import Examples

HIDDEN = (64, 64)
EPOCHS, BATCH, RATE = 30, 512, 2e-3
KEPT_SHARE = 0.1  # of the examples: to see that the fit is no memory


def clone(
    examples: Examples, seed: int, say: Callable[[str], None], *, epochs: int = EPOCHS,
    hidden: tuple[int, ...] = HIDDEN,
) -> Actor:  # fmt: skip
    """Fit an actor. Raises UnavailableError without torch."""
    try:
        import torch
    except ImportError as error:
        raise UnavailableError("training needs torch", "pip install 'pilothouse[train]'") from error
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    shift, scale = normalisation(examples.observed)
    rows = (examples.observed.astype(np.float32) + shift) * scale
    x, y = torch.from_numpy(rows), torch.from_numpy(examples.actions.astype(np.float32))
    order = generator.permutation(len(x))
    kept = max(1, round(KEPT_SHARE * len(x)))
    test, learn = torch.from_numpy(order[:kept]), order[kept:]
    widths = (x.shape[1], *hidden, y.shape[1])
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(widths)]
    parts = [m for i, layer in enumerate(layers)
             for m in ((layer,) if i + 1 == len(layers) else (layer, torch.nn.Tanh()))]  # fmt: skip
    network = torch.nn.Sequential(*parts)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(epochs):
        shuffled = torch.from_numpy(generator.permutation(learn))
        for batch in shuffled.split(BATCH):
            loss = torch.nn.functional.mse_loss(network(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        if (epoch + 1) % max(1, epochs // 5) == 0:
            with torch.no_grad():
                rms = torch.nn.functional.mse_loss(network(x[test]), y[test]).sqrt()
            say(f"cloning, epoch {epoch + 1} of {epochs}: rms error {float(rms):.3f} of range/2")
    return Actor(shift, scale, tuple(_arrays(layer) for layer in layers))


def _arrays(layer: object) -> tuple[Floats, Floats]:
    weight = layer.weight.detach().numpy().T.copy()  # type: ignore[attr-defined]
    return weight, layer.bias.detach().numpy().copy()  # type: ignore[attr-defined]
