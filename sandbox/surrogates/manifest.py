"""What a surrogate claims, in one record beside its network: of what, how well, where, how fast."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from graph.canonical import canonical_bytes, digest, digest_bytes, strict_loads
from graph.errors import InputError, first_error
from graph.record import Record
from sandbox.surrogates.guard import Guard
from sandbox.surrogates.networks import Kind
from sandbox.surrogates.replaced import Quantity

NETWORK_FILE, MANIFEST_FILE = "surrogate.onnx", "surrogate.json"
WORTH_FASTER = 1.2  # a gain below this is within what timing on a busy machine varies


class HorizonError(Record):
    """Error against the replaced model on futures that were kept apart, at one lead.

    upper: one-sided 95 % confidence bound of the rmse, by resampling futures. limit: what was
    stated before the measurement; None for quantities that no sensor shows.
    """

    signal: str
    unit: str
    horizon_h: float
    rmse: float = Field(ge=0)
    upper: float = Field(ge=0)
    limit: float | None = Field(None, ge=0)
    basis: str = ""

    @property
    def ok(self) -> bool:
        """Whether the measured bound keeps the stated limit."""
        return self.limit is None or self.upper <= self.limit


class Speed(Record):
    """Roll-outs a second of both in turns in one process, and where."""

    futures: int = Field(ge=1)
    steps: int = Field(ge=1)
    surrogate_per_s: float = Field(gt=0)
    replaced_per_s: float = Field(gt=0)
    machine: str
    surrogate_runs: str
    replaced_runs: str

    @property
    def factor(self) -> float:
        """How many times faster the surrogate is."""
        return self.surrogate_per_s / self.replaced_per_s


class SurrogateManifest(Record):
    """The record. `replaces_digest` names the one model that the surrogate may stand in for."""

    schema_version: Literal["pilothouse/surrogate/v1"] = "pilothouse/surrogate/v1"
    kind: Kind
    replaces: Literal["twin", "fmu"]
    replaces_name: str
    replaces_digest: str
    step_s: float = Field(gt=0)
    states: tuple[Quantity, ...]
    inputs: tuple[Quantity, ...]
    outputs: tuple[Quantity, ...]
    given: tuple[int, ...] = Field(description="which inputs the network reads; others must rest")
    guard: Guard
    network_digest: str
    errors: tuple[HorizonError, ...]
    share_outside: float = Field(ge=0, le=1, description="of futures that were kept apart")
    measured_futures: int = Field(ge=1)
    speed: Speed
    training: dict[str, Any]
    seed: int
    data_digest: str
    code_digest: str

    @property
    def digest(self) -> str:
        """Digest of the whole record, which names the network's bytes."""
        return digest(self.model_dump(mode="json"))

    @property
    def longest_h(self) -> float:
        """The longest lead that was measured; 0 where nothing was."""
        return max((r.horizon_h for r in self.errors), default=0.0)

    @property
    def within_limits(self) -> bool:
        """Whether errors were measured and every one keeps its stated limit."""
        return any(r.limit is not None for r in self.errors) and all(r.ok for r in self.errors)

    @property
    def factor(self) -> float:
        """How many times faster all futures are, those outside included: they cost both."""
        return 1.0 / (1.0 / self.speed.factor + self.share_outside)

    @property
    def worth_it(self) -> bool:
        """Whether it is both good enough and clearly faster than what it replaces."""
        return self.within_limits and self.factor >= WORTH_FASTER

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not worth it; empty where it is."""
        said = []
        factor = self.factor
        if not self.errors:
            said.append("none of the futures to measure on was in its range")
        if factor < 1.0:
            said.append(f"the {self.replaces_name} itself is {1 / factor:.1f} times faster")
        elif factor < WORTH_FASTER:
            said.append(f"it is only {factor:.2f} times faster")
        broken = [r for r in self.errors if not r.ok]
        if broken:
            worst = max(broken, key=lambda r: r.upper / max(r.limit or 0.0, 1e-12))
            said.append(
                f"{len(broken)} of {sum(r.limit is not None for r in self.errors)} errors exceed "
                f"their limits, the worst {worst.signal} at {worst.horizon_h:g} h with "
                f"{worst.upper:.3g} {worst.unit} (limit {worst.limit:.3g})"
            )
        return tuple(said)


def code_digest() -> str:
    """Digest of this folder's sources: which code trained and measured."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return digest_bytes(b"\0".join(f.name.encode() + b"\n" + f.read_bytes() for f in files))


def save_manifest(path: Path, manifest: SurrogateManifest) -> None:
    """Write the record in canonical form."""
    path.write_bytes(canonical_bytes(manifest) + b"\n")


def load_manifest(path: Path) -> SurrogateManifest:
    """Read the record. Raises InputError when it is missing or wrong."""
    try:
        document = strict_loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error})", "pilothouse site surrogate") from error
    try:
        return SurrogateManifest.model_validate(document)
    except ValidationError as error:
        raise InputError(
            f"{path.name}: {first_error(error)}", "train again with `pilothouse site surrogate`"
        ) from error
