"""What a learned policy is, in one record beside its network; engineers sign it.

Site, points and columns say what it was made for; the guard says where it may speak; digests name
the network's bytes, the examples and futures that it learned from, and the code that trained it.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from graph.canonical import canonical_bytes, digest, digest_bytes, strict_loads
from graph.errors import InputError
from graph.record import Record
from sandbox.surrogates.guard import Guard

NETWORK_FILE, MANIFEST_FILE, ENVELOPE_FILE = "policy.onnx", "policy.json", "policy.dsse.json"
MOST_BYTES = 4 << 20


class Compared(Record):
    """A controller on the days that nothing was learned from; means a day."""

    name: str
    settled_cost: float
    comfort_kh: float
    total: float = Field(description="settled cost and discomfort at its price")
    violations: int = Field(ge=0, description="hard limits broken, counted by day")
    corrected_share: float | None = Field(None, description="of steps, by the safety filter")
    correction: float | None = Field(None, description="mean size where corrected, of the ranges")


class PolicyManifest(Record):
    """The record."""

    schema_version: Literal["pilothouse/policy/v1"] = "pilothouse/policy/v1"
    site: str
    twin_kind: str
    twin_digest: str = Field(description="the twin that it was trained in")
    step_s: int = Field(gt=0)
    points: tuple[str, ...] = Field(min_length=1)
    low: tuple[float, ...] = Field(description="of each point: what action -1 asks for")
    high: tuple[float, ...] = Field(description="and action 1")
    columns: tuple[str, ...] = Field(min_length=1, description="the observation's, in order")
    guard: Guard
    network_digest: str
    algorithm: str
    hyperparameters: dict[str, Any]
    training: dict[str, Any]
    seed: int
    data_digest: str
    code_digest: str
    compared: tuple[Compared, ...] = ()

    @property
    def digest(self) -> str:
        """Digest of the whole record, which names the network's bytes."""
        return digest(self.model_dump(mode="json"))


def code_digest() -> str:
    """Digest of this folder's sources: which code trained."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return digest_bytes(b"\0".join(f.name.encode() + b"\n" + f.read_bytes() for f in files))


def save_manifest(path: Path, manifest: PolicyManifest) -> None:
    """Write the record in canonical form."""
    path.write_bytes(canonical_bytes(manifest) + b"\n")


def load_manifest(path: Path) -> PolicyManifest:
    """Read the record. Raises InputError when it is missing or wrong."""
    try:
        document = strict_loads(path.read_bytes(), MOST_BYTES)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error})", "pilothouse train") from error
    return manifest_of(document)


def manifest_of(document: Any) -> PolicyManifest:
    """The record of a document. Raises InputError naming the field."""
    try:
        return PolicyManifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise InputError(
            f"{MANIFEST_FILE}: {field}: {first['msg']}", "train again with `pilothouse train`"
        ) from error
