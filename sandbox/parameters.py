"""The twin's identified parameters, how sure they are, and what they were identified on."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from graph.canonical import canonical_bytes, digest, strict_loads
from graph.errors import InputError, first_error
from graph.proposal import ModelProvenance
from graph.record import Record
from graph.site import Site
from sandbox.hub_layout import HubLayout, hub_layout

Array = NDArray[np.float64]

WATER_KWH_PER_L_K = 4.186 / 3600.0  # specific heat of water, kJ/(kg K), 1 l = 1 kg
COP_AT_OUTDOOR_DEGC = 7.0  # the COP's reference point: rating condition A7/W45
COP_AT_TANK_DEGC = 45.0
# Parameters that may be negative or zero; every other one is positive and treated as a logarithm.
LINEAR = (
    "gain_kw", "gain_per_load", "ambient_degc", "cop_per_outdoor", "cop_per_tank", "auxiliary_kw",
)  # fmt: skip


class TwinParameters(Record):
    """Values by name with their covariance, in the space of `spaces` (log for positive ones)."""

    kind: Literal["energy_hub", "building", "ode"] = "energy_hub"
    names: tuple[str, ...]
    values: tuple[float, ...]
    spaces: tuple[Literal["log", "linear"], ...]
    covariance: tuple[tuple[float, ...], ...] = Field(
        description="of log(value) where the space is log, of the value elsewhere"
    )
    fitted_on: dict[str, Any] = Field(default_factory=dict, description="data, weeks, digest")
    report: dict[str, Any] = Field(default_factory=dict, description="errors and the verdict")
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    structure: dict[str, Any] = Field(
        default_factory=dict, description="what the fit chose: model order, regressors"
    )

    @model_validator(mode="after")
    def _sizes_agree(self) -> "TwinParameters":
        size = len(self.names)
        rows = [len(row) for row in self.covariance]
        if len(self.values) != size or len(self.spaces) != size or rows != [size] * size:
            raise ValueError(f"{size} names need {size} values, spaces and rows of covariance")
        for name, value, space in zip(self.names, self.values, self.spaces, strict=True):
            if space == "log" and value <= 0:
                raise ValueError(f"{name} = {value} must be positive")
        return self

    @property
    def digest(self) -> str:
        """sha256 over the canonical bytes."""
        return digest(self.model_dump(mode="json"))

    @property
    def fit_for_control(self) -> bool:
        """Whether the fit beat persistence on the held-back week; False for a first guess."""
        return bool(self.report.get("fit_for_control", False))

    @property
    def residual_std(self) -> dict[str, float]:
        """Standard deviation of the one-step innovations by residual name."""
        return {k: float(v) for k, v in self.report.get("residual_std", {}).items()}

    def prediction_rmse(self, signal: str) -> dict[float, float]:
        """Error of the twin on the held-back days by horizon in hours; empty without a fit."""
        rows = [r for r in self.report.get("skill", []) if r["signal"] == signal]
        return {float(r["horizon_h"]): float(r["twin"]) for r in rows}

    def value(self, name: str) -> float:
        """The value called `name`. Raises KeyError."""
        try:
            return self.values[self.names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    @cached_property
    def root(self) -> Array:
        """A square root of the covariance, (P, P)."""
        return _factor(np.asarray(self.covariance, dtype=float))

    def sample(self, generator: np.random.Generator) -> Array:
        """One draw from the posterior, shape (P,), positive where it must be."""
        noise = generator.standard_normal(len(self.names))
        moved = to_space(self.values, self.spaces) + self.root @ noise
        return from_space(moved, self.spaces)

    def provenance(self) -> ModelProvenance:
        """The manifest entry of this model."""
        trained = {str(k): (str(v),) for k, v in sorted(self.fitted_on.items())}
        verdict = "passed" if self.fit_for_control else "not passed"
        return ModelProvenance(
            model=f"{self.kind} twin",
            hash=self.digest,
            trained_on=trained,
            hyperparameters=self.hyperparameters,
            attestations=(f"held-back validation against persistence: {verdict}",),
        )


def to_space(values: Any, spaces: tuple[str, ...]) -> Array:
    """Values (..., P) into the fitting space."""
    array = np.array(values, dtype=float)
    log = np.array([s == "log" for s in spaces])
    array[..., log] = np.log(array[..., log])
    return array


def from_space(moved: Array, spaces: tuple[str, ...]) -> Array:
    """Inverse of `to_space`."""
    array = np.array(moved, dtype=float)
    log = np.array([s == "log" for s in spaces])
    array[..., log] = np.exp(array[..., log])
    return array


def _factor(covariance: Array) -> Array:
    """A square root of a covariance that may be only semi-definite."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)), dtype=float)


def first_guess(layout: HubLayout) -> dict[str, float]:
    """Textbook values from nameplates and floor areas: where a fit starts.

    Sources: air and furniture about 20 Wh/(m2 K), medium-weight mass 100 Wh/(m2 K)
    (ISO 13790:2008 table 12, rounded), heat loss 1.5 W/(m2 K) floor, emitters sized for
    60 W/m2 at 25 K excess, aperture 5 % of the floor.
    """
    guess: dict[str, float] = {}
    for zone in layout.zones:
        area = zone.floor_area_m2
        guess[f"{zone.id}.c_air_kwh_k"] = 0.020 * area
        guess[f"{zone.id}.c_mass_kwh_k"] = 0.100 * area
        guess[f"{zone.id}.ua_out_kw_k"] = 0.0015 * area
        guess[f"{zone.id}.ua_mass_kw_k"] = 0.008 * area
        guess[f"{zone.id}.ua_emit_kw_k"] = 0.060 * area / 25.0
        guess[f"{zone.id}.aperture_m2"] = 0.025 * area
        guess[f"{zone.id}.aperture_mass_m2"] = 0.025 * area
        guess[f"{zone.id}.gain_kw"] = 0.0
        guess[f"{zone.id}.gain_per_load"] = 0.5 / len(layout.zones)
    guess["zones.ua_between_kw_k"] = 0.1
    guess["zones.thermostat_tau_h"] = 0.5
    guess["tank.c_kwh_k"] = WATER_KWH_PER_L_K * layout.tank.volume_l
    guess["tank.loss_kw_k"] = 0.01
    guess["tank.ambient_degc"] = 20.0
    guess["hp.cop"] = layout.heat_pump.nominal_cop
    guess["hp.cop_per_outdoor"] = 0.06
    guess["hp.cop_per_tank"] = -0.06
    guess["battery.efficiency"] = layout.battery.round_trip_efficiency**0.5
    guess["battery.capacity_kwh"] = layout.battery.capacity_kwh
    guess["battery.standby_kw"] = 0.02
    guess["grid.auxiliary_kw"] = 0.0
    return guess


def spaces_of(names: tuple[str, ...]) -> tuple[Literal["log", "linear"], ...]:
    """The fitting space of each name."""
    return tuple("linear" if n.split(".", 1)[1] in LINEAR else "log" for n in names)


def initial_parameters(site: Site, relative_std: float = 0.1) -> TwinParameters:
    """A first guess for a site that has no fit yet. It never claims to be fit for control."""
    guess = first_guess(hub_layout(site))
    names = tuple(guess)
    scale = {"gain_kw": 0.5, "gain_per_load": 0.1, "ambient_degc": 3.0}
    std = [
        scale.get(n.split(".", 1)[1], 0.01) if s == "linear" else relative_std
        for n, s in zip(names, spaces_of(names), strict=True)
    ]
    return TwinParameters(
        names=names,
        values=tuple(guess.values()),
        spaces=spaces_of(names),
        covariance=covariance_rows(np.diag(np.square(std))),
        fitted_on={"data": "none: first guess from nameplates"},
        report={"fit_for_control": False, "reasons": ["not fitted"]},
    )


def covariance_rows(matrix: Array) -> tuple[tuple[float, ...], ...]:
    """A matrix as nested tuples."""
    return tuple(tuple(float(v) for v in row) for row in matrix)


def parameters_from_document(document: Mapping[str, Any]) -> TwinParameters:
    """Parameters from a parsed document. Raises InputError naming the field."""
    try:
        return TwinParameters.model_validate(document)
    except ValidationError as error:
        raise InputError(
            f"twin parameters: {first_error(error)}", "write the file again with `site fit`"
        ) from error


def load_parameters(path: Path) -> TwinParameters:
    """Read a twin file. Raises InputError when it is missing or wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error})", "write it with `site fit`") from error
    return parameters_from_document(strict_loads(data))


def save_parameters(path: Path, parameters: TwinParameters) -> None:
    """Write a twin file in canonical form."""
    path.write_bytes(canonical_bytes(parameters) + b"\n")
