"""The frozen image of the plant that one decision works on. Agents see nothing else."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from graph.canonical import digest
from graph.record import Record, UtcTime
from graph.signals import PointState, Reading


class Forecast(Record):
    """One signal's forecast on the site's step, with the errors our own forecaster has made.

    `error_paths[i][k]` is one hindcast's error (actual - forecast) at lead (k + 1) * error_step_s;
    all signals of a snapshot share the path index, so weather errors stay together in time.
    """

    signal: str
    unit: str
    method: str
    values: tuple[float, ...] = Field(description="expected value over each step of the horizon")
    error_step_s: int = 3600
    error_paths: tuple[tuple[float, ...], ...] = Field(min_length=1)
    minimum: float | None = Field(None, description="physical floor, e.g. 0 for irradiance")
    maximum: float | None = None

    @model_validator(mode="after")
    def _paths_are_even(self) -> "Forecast":
        if len({len(p) for p in self.error_paths}) != 1:
            raise ValueError(f"forecast {self.signal}: error paths differ in length")
        return self


class HoldConstraint(Record):
    """A point that a person holds: the next plan takes it as given."""

    point: str
    value: float
    local_law: bool = Field(False, description="not held at `value`: the plant's own law commands")
    owner: str
    until: UtcTime | None = None


class StateEstimate(Record):
    """The twin's state: mean and covariance, names in order."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    residuals: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="recent one-step innovations by signal, oldest first, in the signal's unit",
    )
    residual_std: dict[str, float] = Field(default_factory=dict)
    model_errors: dict[str, tuple[float | None, ...]] = Field(
        default_factory=dict,
        description="the twin's errors of the last hours by name, newest last: where futures begin",
    )


class History(Record):
    """The last hours of telemetry on the site's step, newest last; None marks a missing sample."""

    start: UtcTime
    step_s: int
    signals: dict[str, tuple[float | None, ...]]


class PriceSeries(Record):
    """Prices and carbon over the horizon, each on the site's step."""

    import_price: tuple[float, ...] = Field(description="currency a kWh")
    export_price: tuple[float, ...] = Field(description="currency a kWh")
    carbon_g_per_kwh: tuple[float, ...]
    peak_so_far_kw: float = Field(0.0, ge=0, description="the month's highest import so far")


class Snapshot(Record):
    """Everything a decision may know. Its digest goes into all that follows."""

    site_id: str
    site_digest: str
    twin_digest: str
    as_of: UtcTime = Field(description="plant time")
    step_s: int
    horizon_steps: int = Field(ge=1)
    readings: dict[str, Reading]
    points: dict[str, PointState]
    remote_allowed: bool = Field(True, description="the plant's own local/remote switch")
    watchdog_healthy: bool = True
    holds: tuple[HoldConstraint, ...] = ()
    starts_today: dict[str, int] = Field(default_factory=dict, description="by setpoint")
    last_change: dict[str, UtcTime] = Field(
        default_factory=dict, description="by setpoint: when it last went on or off"
    )
    prices: PriceSeries
    forecasts: tuple[Forecast, ...]
    estimate: StateEstimate
    history: History
    incumbent: dict[str, tuple[float, ...]] = Field(
        default_factory=dict, description="the approved plan still in force, shifted to as_of"
    )

    @cached_property
    def digest(self) -> str:
        """sha256 over the canonical bytes."""
        return digest(self.model_dump(mode="json"))

    def forecast(self, signal: str) -> Forecast:
        """The forecast of `signal`. Raises KeyError."""
        for item in self.forecasts:
            if item.signal == signal:
                return item
        raise KeyError(signal)

    def expected(self, signal: str) -> NDArray[np.float64]:
        """Expected values of `signal`, shape (horizon_steps,)."""
        return np.asarray(self.forecast(signal).values, dtype=float)
