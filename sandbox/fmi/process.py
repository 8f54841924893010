"""An FMU in a process of its own, by the names of its variables.

An FMU is native code from outside: its file is checked (`archive`, `description_xml`) before any of
it is unpacked, and it runs where it can hang, crash or leave without taking anything with it
(`hosted`).
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graph.errors import InputError, UnavailableError
from sandbox.fmi.archive import open_archive
from sandbox.fmi.binaries import binary_of
from sandbox.fmi.description import FmuDescription, FmuInterface, InterfaceKind
from sandbox.fmi.description_xml import parse_description
from sandbox.fmi.fmu_units import Affine, from_site, to_site
from sandbox.fmi.hosted import HostedFmu
from sandbox.fmi.limits import FmuLimits
from sandbox.fmi.value_groups import ValueGroups


def describe_fmu(file: Path, limits: FmuLimits | None = None) -> FmuDescription:
    """What an FMU says of itself; none of its code runs. Raises InputError."""
    return parse_description(open_archive(file, limits or FmuLimits()).description(), file.name)


class FmuProcess:
    """One running FMU. Values go by name, times are seconds of its own axis.

    Args:
        file: the FMU.
        name: what errors call it.
        interface: co-simulation where it has it, unless said otherwise.
        parameters: start values by name, in the FMU's own units.
        start_s: its time at the beginning.

    Raises:
        InputError: the file is unusable, or a parameter is unknown or cannot be set.
        FmuError: it does not start.
        UnavailableError: FMPy is not installed.
    """

    def __init__(
        self, file: Path, *, name: str = "", interface: InterfaceKind | None = None,
        parameters: Mapping[str, float] | None = None, start_s: float = 0.0,
        limits: FmuLimits | None = None,
    ) -> None:  # fmt: skip
        self.name, self.limits, self.start_s = name or file.stem, limits or FmuLimits(), start_s
        archive = open_archive(file, self.limits)
        self.description = parse_description(archive.description(), file.name)
        self.interface: FmuInterface = self.description.interface(interface)
        binaries, library = binary_of(archive, self.description.version, self.interface.identifier)
        self._groups: dict[tuple[str, ...], ValueGroups] = {}
        self._asked: tuple[str, ...] = ()
        settings = self._parameters(parameters or {})
        _require_fmpy()
        folder = Path(tempfile.mkdtemp(prefix="fmu-"))
        try:
            archive.unpack(folder, binaries)
            label = f"FMU {self.name} ({self.description.file})"
            self._host = HostedFmu(label, folder, self.limits)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        loading = [["load", self._spec(folder, folder / library)], ["setup", start_s]]
        try:
            self._host.ask("it was loaded", [*loading, *settings, ["begin"]], self.limits.load_s)
        except BaseException:
            self._host.abandon()
            raise

    def _spec(self, folder: Path, library: Path) -> dict[str, Any]:
        interface, description = self.interface, self.description
        return {
            "folder": str(folder), "library": str(library), "name": self.name,
            "version": description.version, "interface": interface.kind,
            "identifier": interface.identifier, "token": description.token,
            "can_snapshot": interface.can_snapshot,
            "needs_completed_step": interface.needs_completed_step,
            "states": description.states, "indicators": description.indicators,
        }  # fmt: skip

    def _parameters(self, given: Mapping[str, float]) -> list[Any]:
        for name in given:
            variable = self.description.variable(name)
            if not variable.is_settable_at_start:
                raise InputError(
                    f"{self.description.file}: {name} cannot be given a start value",
                    f"it is {variable.causality}, {variable.variability}; set a parameter",
                )
        return [["set", self._grouped(given).setting(given)]] if given else []

    def finish_start(self) -> None:
        """End the initialisation: from here on it steps."""
        self._host.ask("it was initialised", [["finish"]], self.limits.load_s)

    def close(self) -> None:
        """End the process and remove its files. A second call does nothing."""
        self._host.close([["end"]])

    def __enter__(self) -> "FmuProcess":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- values and time ----------------------------------------------------------------------

    def write(self, values: Mapping[str, float], units: Mapping[str, str] | None = None) -> None:
        """Set inputs; `units`: of those values that are not in the FMU's own.

        Raises:
            InputError: unknown name, no input, a unit of something else, not a finite number.
        """
        variables = {n: self.description.variable(n) for n in values}
        for name, variable in variables.items():
            if variable.causality != "input":
                raise InputError(
                    f"{self.description.file}: {name} is {variable.causality}, not input",
                    f"inputs: {', '.join(self.description.of_causality('input')) or 'none'}",
                )
        own = {n: from_site(v, (units or {}).get(n)) for n, v in variables.items()}
        if values:
            setting = self._grouped(values).setting(_through(values, own))
            self._host.ask("inputs were set", [["set", setting]])

    def read(
        self, names: Sequence[str], units: Mapping[str, str] | None = None
    ) -> dict[str, float]:
        """Present values, in the FMU's own units or in those given. Raises InputError."""
        own = {n: to_site(self.description.variable(n), (units or {}).get(n)) for n in names}
        if not names:
            return {}
        groups = self._grouped(names)
        answer = self._host.ask("outputs were read", [["get", groups.request]])
        return _through(self._values(groups, answer[0]), own)

    def post_step(
        self, time_s: float, step_s: float, inputs: Mapping[str, float], outputs: Sequence[str]
    ) -> None:
        """Ask for one step with `inputs` held; `take_step` gives the outputs at its end."""
        operations: list[Any] = []
        if inputs:
            operations.append(["set", self._grouped(inputs).setting(inputs)])
        operations.append(["step", time_s, step_s])
        if outputs:
            operations.append(["get", self._grouped(outputs).request])
        self._asked = tuple(outputs)
        self._host.send(f"it stepped from t = {time_s:g} s by {step_s:g} s", operations)

    def take_step(self) -> dict[str, float]:
        """The answer to `post_step`. Raises FmuError."""
        answer = self._host.receive()
        return self._values(self._grouped(self._asked), answer[-1]) if self._asked else {}

    def step(
        self, time_s: float, step_s: float, inputs: Mapping[str, float], outputs: Sequence[str]
    ) -> dict[str, float]:
        """One step: hold `inputs` (FMU's units), return `outputs` at its end."""
        self.post_step(time_s, step_s, inputs, outputs)
        return self.take_step()

    def _grouped(self, names: Mapping[str, float] | Sequence[str]) -> ValueGroups:
        key = tuple(names)
        if key not in self._groups:
            self._groups[key] = ValueGroups([self.description.variable(n) for n in key])
        return self._groups[key]

    def _values(self, groups: ValueGroups, answer: Any) -> dict[str, float]:
        try:
            return groups.named(answer)
        except (TypeError, ValueError, OverflowError):
            raise self._host.fail("broke the rules of its pipe") from None

    def _handle(self, doing: str, operation: list[Any]) -> int:
        """Ask for a state's handle."""
        answer = self._host.ask(doing, [operation])[0]
        if type(answer) is not int:
            raise self._host.fail("broke the rules of its pipe")
        return answer

    # --- states -------------------------------------------------------------------------------

    def snapshot(self) -> int:
        """Keep its present state; returns a handle. Raises InputError where it cannot."""
        self._require("keep", self.interface.can_snapshot)
        return self._handle("its state was kept", ["save"])

    def restore(self, handle: int) -> None:
        """Return to a kept state, which stays kept."""
        self._host.ask("a kept state was set", [["restore", handle]])

    def release(self, handle: int) -> None:
        """Forget a kept state."""
        self._host.ask("a kept state was freed", [["free", handle]])

    def packed(self) -> str:
        """Its present state as text, for another process. Raises InputError where it cannot."""
        self._require("serialise", self.interface.can_serialise)
        doing = "its state was serialised"
        handle = self._handle(doing, ["save"])
        return str(self._host.ask(doing, [["pack", handle], ["free", handle]])[0])

    def unpack(self, text: str) -> None:
        """Take on a state that `packed` gave, of this FMU in any process."""
        doing = "a serialised state was set"
        handle = self._handle(doing, ["unpack", text])
        self._host.ask(doing, [["restore", handle], ["free", handle]])

    def _require(self, what: str, able: bool) -> None:
        if not able:
            raise InputError(
                f"FMU {self.name} ({self.description.file}) cannot {what} its state",
                "its modelDescription.xml says so; a branch is a replay then",
            )


def _through(values: Mapping[str, float], maps: Mapping[str, Affine]) -> dict[str, float]:
    return {n: maps[n](v) for n, v in values.items()}


def _require_fmpy() -> None:
    import importlib.util

    if importlib.util.find_spec("fmpy") is None:
        raise UnavailableError(
            "FMUs need fmpy, which is not installed", "pip install 'pilothouse[plants]'"
        )
