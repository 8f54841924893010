"""Parameters of a pack's own equations from its telemetry, and how well they then predict.

1. Hold back the last quarter of the record, a week at most; fit on the rest.
2. Simulate windows of some hours, from measured states, with the inputs that then happened; states
   that no sensor shows begin where the declared equations lead through the whole record, and then
   the window's first half is not scored.
3. Least squares of all scored samples, each signal in units of its own error (two passes), with the
   declared values as a weak prior, so that what the record does not tell stays where it was.
4. Covariance by the sandwich over windows: errors within a window are not independent.
5. Predict the held-back days from each hour on and compare with persistence and the day before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from graph.canonical import digest_bytes
from graph.errors import InputError
from graph.record import iso
from graph.site import Site
from graph.telemetry import Frame
from sandbox.fit_data import frame_digest
from sandbox.ode_twin import DEFAULT_SUBSTEP_S, EQUATIONS, OdeTwin
from sandbox.ode_validation import innovations, skill_table, verdict
from sandbox.parameters import TwinParameters, covariance_rows, from_space, to_space
from sandbox.symbolic.components.ode import parse_ode

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
PRIOR_STD = 0.3  # of a declared value, relative
MAX_HELD_BACK_S = 7 * 86_400
HELD_BACK_SHARE = 0.25
WINDOW_H = 3.0
MAX_WINDOWS, LEAST_WINDOWS = 300, 24
PASSES, EVALUATIONS = 2, 30
DIFFERENCE = 1e-4


@dataclass(frozen=True)
class OdeData:
    """A record by columns: inputs (rows, U) and shown signals (rows,), NaN where missing."""

    frame: Frame
    inputs: Array
    shown: Mapping[str, Array]
    split: int

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.frame)

    def starts(
        self, first: int, stop: int, length: int, stride: int, sensors: Sequence[str]
    ) -> Ints:
        """Rows k from which `length` steps have all inputs, and at which every sensor is good."""
        known = np.asarray(np.isfinite(self.inputs).all(axis=1), dtype=bool)
        known_until = np.concatenate([[0], np.cumsum(~known)])
        good = known.copy()
        for signal in sensors:
            good &= np.isfinite(self.shown[signal])
        found = [
            k for k in range(first, stop - length, stride)
            if good[k] and known_until[k + length + 1] == known_until[k + 1]
        ]  # fmt: skip
        return np.array(found, dtype=np.int64)

    def windows(self, starts: Ints, length: int) -> Array:
        """Inputs (W, length, U) of the steps after each start."""
        return np.asarray(self.inputs[starts[:, None] + 1 + np.arange(length)[None]])

    def actual(self, signal: str, starts: Ints, length: int) -> Array:
        """(W, length): the signal at the steps after each start."""
        return np.asarray(self.shown[signal][starts[:, None] + 1 + np.arange(length)[None]])


def declared_parameters(text: str, name: str = "model.yaml") -> TwinParameters:
    """The equations with their declared values: the twin from the drawing board.

    Raises:
        SitePackError: the equations are wrong, with file, line and field.
    """
    model = parse_ode(text, name)
    spaces = tuple(p.space for p in model.parameters)
    return TwinParameters(
        kind="ode",
        names=model.parameter_names,
        values=tuple(p.value for p in model.parameters),
        spaces=spaces,
        covariance=covariance_rows(np.diag(_prior_std(model.defaults, spaces) ** 2)),
        fitted_on={"data": "none: declared values"},
        report={"fit_for_control": False, "reasons": ["not fitted"]},
        structure={EQUATIONS: text, "substep_s": DEFAULT_SUBSTEP_S},
    )


def fit_ode(site: Site, frame: Frame, text: str) -> TwinParameters:
    """Parameters of the equations `text` from `frame`, validated on its last days.

    Raises:
        SitePackError: the equations are wrong. InputError: too little telemetry, or signals that
            do not match. A fit that is merely bad is returned with `fit_for_control` False.
    """
    declared = declared_parameters(text, site.twin.model or "model.yaml")
    twin = OdeTwin(site, declared)
    data = ode_data(twin, frame)
    length = max(2, round(WINDOW_H * 3600 / frame.step_s))
    starts = data.starts(0, data.split, length, length, twin.layout.sensors)
    if len(starts) < LEAST_WINDOWS:
        raise InputError(
            f"only {len(starts)} stretches of {WINDOW_H:g} h have complete inputs",
            f"record {LEAST_WINDOWS * WINDOW_H / 24:g} days at least beside those held back",
        )
    if len(starts) > MAX_WINDOWS:
        starts = starts[np.linspace(0, len(starts) - 1, MAX_WINDOWS).astype(int)]
    problem = _Problem(twin, data, starts, length)
    moved, covariance = problem.solve()
    fitted = declared.model_copy(
        update={
            "values": tuple(float(v) for v in from_space(moved, declared.spaces)),
            "covariance": covariance_rows(covariance),
        }
    )
    return _with_report(twin.with_parameters(fitted), data, len(starts))


def ode_data(twin: OdeTwin, frame: Frame) -> OdeData:
    """The columns that the twin's equations need. Raises InputError for one that is not there."""
    names = twin.model.input_names
    inputs = np.stack([frame.column(n) for n in names], axis=1)
    shown = {s: frame.column(s) for s in (*twin.layout.sensors, *twin.layout.outputs)}
    held = min(HELD_BACK_SHARE * len(frame), MAX_HELD_BACK_S / frame.step_s)
    return OdeData(frame, inputs, shown, len(frame) - int(held))


def initial_states(twin: OdeTwin, data: OdeData, starts: Ints) -> Array:
    """(W, S): what the sensors show at each start; elsewhere what the record has led to by then."""
    shown = set(twin.layout.state_of.values())
    table = np.empty((len(starts), len(twin.state_names)))
    if shown != set(twin.state_names):
        table[:] = whole_record(twin, data)[starts]
    for signal, state in twin.layout.state_of.items():
        table[:, twin.state_names.index(state)] = data.shown[signal][starts]
    return table


def whole_record(twin: OdeTwin, data: OdeData) -> Array:
    """States (rows, S) of one simulation through the record, from nominal values at its begin.

    Over gaps of the inputs their last value is held.
    """
    known = np.isfinite(data.inputs)
    last = np.maximum.accumulate(np.where(known, np.arange(data.rows)[:, None], 0), axis=0)
    held = np.take_along_axis(data.inputs, last, axis=0)
    filled = np.where(np.isfinite(held), held, np.nanmean(data.inputs, axis=0))
    nominal = np.array([[v.nominal for v in twin.model.states]])
    return np.asarray(twin.run_states(nominal, filled[None], float(data.frame.step_s))[0])


@dataclass
class _Problem:
    """Scaled residuals of all windows as a function of the parameters in their fitting space."""

    twin: OdeTwin
    data: OdeData
    starts: Ints
    length: int

    def __post_init__(self) -> None:
        twin = self.twin
        self.x0 = initial_states(twin, self.data, self.starts)
        self.table = self.data.windows(self.starts, self.length)
        self.signals = (*twin.layout.sensors, *twin.layout.outputs)
        self.actual = {s: self.data.actual(s, self.starts, self.length) for s in self.signals}
        hidden = set(twin.state_names) - set(twin.layout.state_of.values())
        self.first = self.length // 2 if hidden else 0
        self.scale = {s: max(float(np.nanstd(v)), 1e-9) for s, v in self.actual.items()}
        p = twin.parameters
        self.centre = to_space(p.values, p.spaces)
        self.prior = np.sqrt(np.diag(np.asarray(p.covariance)))

    def errors(self, moved: Array) -> Array:
        """(M, W, samples) of M parameter vectors (M, P); missing samples count nothing."""
        count, windows = moved.shape[0], len(self.starts)
        p = np.repeat(from_space(moved, self.twin.parameters.spaces), windows, axis=0)
        x0, table = np.tile(self.x0, (count, 1)), np.tile(self.table, (count, 1, 1))
        shown = self.twin.run_table(x0, table, p, float(self.data.frame.step_s))
        parts = []
        for signal in self.signals:
            predicted = shown[signal].reshape(count, windows, self.length)
            error = (predicted - self.actual[signal][None])[:, :, self.first :] / self.scale[signal]
            parts.append(np.where(np.isfinite(error), error, 0.0))
        return np.concatenate(parts, axis=2)

    def solve(self) -> tuple[Array, Array]:
        """The estimate in the fitting space and its covariance there."""
        from scipy.optimize import least_squares

        moved = self.centre
        for _ in range(PASSES):
            found = least_squares(
                self._residuals, moved, jac=self._jacobian, max_nfev=EVALUATIONS, x_scale=self.prior
            )
            moved = np.asarray(found.x, dtype=float)
            self._rescale(moved)
        return moved, self._covariance(moved)

    def _residuals(self, moved: Array) -> Array:
        prior = (moved - self.centre) / self.prior
        return np.concatenate([self.errors(moved[None])[0].ravel(), prior])

    def _gradients(self, moved: Array) -> Array:
        """(P, W, samples) by central differences, all in one batch."""
        steps = DIFFERENCE * np.eye(len(moved))
        both = self.errors(np.concatenate([moved + steps, moved - steps]))
        return np.asarray((both[: len(moved)] - both[len(moved) :]) / (2.0 * DIFFERENCE))

    def _jacobian(self, moved: Array) -> Array:
        gradients = self._gradients(moved).reshape(len(moved), -1)
        return np.concatenate([gradients.T, np.diag(1.0 / self.prior)])

    def _rescale(self, moved: Array) -> None:
        """Each signal in units of its own error."""
        errors = self.errors(moved[None])[0]
        width = self.length - self.first
        for i, signal in enumerate(self.signals):
            part = errors[:, i * width : (i + 1) * width]
            self.scale[signal] *= max(float(np.sqrt(np.mean(part**2))), 1e-6)

    def _covariance(self, moved: Array) -> Array:
        gradients, errors = self._gradients(moved), self.errors(moved[None])[0]
        flat = gradients.reshape(len(moved), -1)
        precision = np.diag(self.prior**-2.0)
        inverse = np.linalg.inv(flat @ flat.T + precision)
        scores = np.einsum("pws,ws->wp", gradients, errors)
        return np.asarray(inverse @ (scores.T @ scores + precision) @ inverse)


def _prior_std(values: Array, spaces: tuple[str, ...]) -> Array:
    size = np.where(values == 0.0, 1.0, np.abs(values))
    return np.where([s == "log" for s in spaces], PRIOR_STD, PRIOR_STD * size)


def _with_report(twin: OdeTwin, data: OdeData, windows: int) -> TwinParameters:
    frame = data.frame
    noise = innovations(twin, data)
    table = skill_table(twin, data)
    good, reasons = verdict(table, noise["measurement_std"])
    times = frame.times
    return twin.parameters.model_copy(
        update={
            "fitted_on": {
                "data": frame_digest(frame),
                "from": iso(times[0]),
                "to": iso(times[data.split - 1]),
                "held_back_to": iso(frame.end),
                "site": twin.site.id,
                "code": _code_digest(),
            },
            "report": {
                "fit_for_control": good, "reasons": list(reasons), "skill": table,
                "windows": windows, "usual_states": _usual_states(twin, data), **noise,
            },
            "hyperparameters": {
                "window_h": WINDOW_H, "prior_std": PRIOR_STD, "passes": PASSES,
                "evaluations": EVALUATIONS,
            },
        }
    )  # fmt: skip


def _usual_states(twin: OdeTwin, data: OdeData) -> dict[str, list[float]]:
    """Mean and spread of every state that no sensor shows: where an estimate of it begins."""
    hidden = [n for n in twin.state_names if n not in twin.layout.state_of.values()]
    if not hidden:
        return {}
    table = whole_record(twin, data)[: data.split]
    columns = {n: table[:, twin.state_names.index(n)] for n in hidden}
    return {n: [float(c.mean()), max(float(c.std()), 1e-6)] for n, c in columns.items()}


def _code_digest() -> str:
    folder = Path(__file__).parent
    names = ("ode_fit", "ode_twin", "ode_validation", "symbolic/components/ode")
    return digest_bytes(b"".join((folder / f"{n}.py").read_bytes() for n in names))
