"""The state file: whole or not at all, and a damaged one is never guessed at."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from graph.canonical import strict_loads
from graph.errors import IntegrityError, first_error
from safety.gate.config import GateConfig
from safety.gate.state import GateState, Mode, evolve, initial_state

VOLATILE = {"applied", "exact", "before", "unfollowed_since"}
HINT = "look at the file, or move it away to start afresh with no orders, holds or starts known"


class StateStore:
    """Keeps a `GateState` in one file. Saves only what must survive, and only when it changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved: Any = None

    def load(self, config: GateConfig) -> GateState:
        """The state of the last run, fitted to `config`; a fresh one where there is no file.

        Raises:
            IntegrityError: the file is there and is not a state.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return initial_state(config)
        try:
            state = GateState.model_validate(strict_loads(data))
        except (ValidationError, IntegrityError) as error:
            first = error.message if isinstance(error, IntegrityError) else first_error(error)
            raise IntegrityError(
                f"the gate's state {self._path} is damaged: {first}", HINT
            ) from error
        modes = {loop: state.modes.get(loop, Mode.SHADOW) for loop in config.loops}
        known = config.by_point
        return evolve(
            state,
            modes=modes,
            tracks={p: t for p, t in state.tracks.items() if p in known},
            holds={p: h for p, h in state.holds.items() if p in known},
        )

    def save(self, state: GateState) -> None:
        """Put `state` on the disk before what it says is acted on."""
        lasting = _lasting(state)
        if lasting == self._saved:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".new")
        with temporary.open("wb") as file:
            file.write(state.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself must survive, too
        finally:
            os.close(folder)
        self._saved = lasting


def _lasting(state: GateState) -> Any:
    engaged = state.engaged
    return (
        evolve(state, tracks={}, engaged=None, cycled_at=None, clock_moved_s=0.0),
        engaged and engaged.model_copy(update={"metrics": {}}),
        {p: t.model_copy(update=dict.fromkeys(VOLATILE)) for p, t in state.tracks.items()},
    )
