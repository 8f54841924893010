"""One measured number of a bench beside its target."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured number beside its target."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the target is met; true without one."""
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> dict[str, Any]:
        """As JSON, which has no NaN: what was not measured is null."""
        value = None if math.isnan(self.value) else self.value
        return {"name": self.name, "value": value, "unit": self.unit, "target": self.target,
                "ok": self.ok, "note": self.note}  # fmt: skip

    def text(self) -> str:
        """For a terminal."""
        sign = ">=" if self.at_least else "<="
        target = "" if self.target is None else f"target {sign} {self.target:.4g}"
        mark = "" if self.target is None else ("ok" if self.ok else "MISSED")
        return f"{self.name:58}{self.value:10.3f} {self.unit:6}{target:18}{mark:8}{self.note}"
