"""Which twin a run may use: one that has seen nothing of the days that it is judged on."""

from datetime import datetime, timedelta
from typing import Literal

from api.times import parse_local
from graph.errors import InputError, SitePackError
from graph.record import parse_iso
from graph.sitepack import SitePack
from graph.telemetry import Frame
from sandbox.parameters import TwinParameters, initial_parameters, load_parameters

TwinChoice = Literal["auto", "pack", "learned", "drawing-board"]
CHOICES: tuple[TwinChoice, ...] = ("auto", "pack", "learned", "drawing-board")


def choose_twin(pack: SitePack, choice: TwinChoice, start: datetime) -> TwinParameters:
    """The parameters to run with from `start` on.

    `pack`: the pack's file, whenever it was fitted. `learned`: identified now from the telemetry
    before `start`. `drawing-board`: nameplates and textbook values alone. `auto`: the pack's file
    where it was fitted before `start`, else `learned`.

    Raises:
        InputError: no file, or too little telemetry before `start`.
    """
    if choice == "drawing-board":
        return drawing_board_twin(pack)
    if choice == "learned":
        return fit_before(pack, start)
    path = pack.file(pack.site.twin.parameters)
    if choice == "pack" or (path.exists() and seen_until(load_parameters(path)) <= start):
        return load_parameters(path)
    return fit_before(pack, start)


def seen_until(parameters: TwinParameters) -> datetime:
    """The last moment of the telemetry that the fit saw, held-back days included."""
    stamp = parameters.fitted_on.get("held_back_to")
    if stamp is None:
        raise InputError("the twin file does not say what it was fitted on", "fit it again")
    return parse_iso(stamp)


def fit_before(pack: SitePack, start: datetime) -> TwinParameters:
    """Identify the twin from the rows that end at or before `start`."""
    frame = pack.telemetry()
    step = timedelta(seconds=frame.step_s)
    return identify(pack, frame.window(frame.start - step, start))


def stretch(pack: SitePack, begin: str | None, end: str | None) -> Frame:
    """The pack's telemetry between two moments (the site's zone if they name none).

    Raises:
        InputError: not a time, or nothing lies between them.
    """
    frame, zone = pack.telemetry(), pack.site.time_zone
    first = frame.start - timedelta(seconds=frame.step_s)
    first = parse_local(begin, zone) if begin is not None else first
    last = parse_local(end, zone) if end is not None else frame.end
    found = frame.window(first, last)
    if not len(found):
        raise InputError(
            f"no telemetry between {first.isoformat()} and {last.isoformat()}",
            f"the pack has it from {frame.start.isoformat()} to {frame.end.isoformat()}",
        )
    return found


def identify(
    pack: SitePack, frame: Frame, weeks: float | None = None, *, whole: bool = False
) -> TwinParameters:
    """The twin of the site's kind from telemetry. Raises InputError: see each kind's fit.

    weeks: only the last ones that hold so much complete telemetry; None leaves it to the kind, or
    takes the whole frame where `whole`.
    """
    if pack.site.twin.kind == "building":
        from sandbox.building.fit import BuildingFitOptions, fit_building

        options = BuildingFitOptions()
        if weeks is not None or whole:
            options = BuildingFitOptions(weeks=weeks)
        return fit_building(pack.site, frame, options)
    if weeks is not None:
        frame = frame.tail(round(weeks * 7 * 86_400 / frame.step_s))
    if pack.site.twin.kind == "ode":
        from sandbox.ode_fit import fit_ode

        return fit_ode(pack.site, frame, equations_of(pack))
    from sandbox.fit import fit

    return fit(pack.site, frame)


def equations_of(pack: SitePack) -> str:
    """The text of the pack's equations. Raises SitePackError when the file cannot be read."""
    name = pack.site.twin.model or ""
    try:
        return pack.file(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SitePackError(f"cannot be read ({error})", "see twin.model", name) from error


def drawing_board_twin(pack: SitePack) -> TwinParameters:
    """What a designer would write down before anybody has measured anything."""
    if pack.site.twin.kind == "building":
        from sandbox.building.parameters import drawing_board

        return drawing_board(pack.site)
    if pack.site.twin.kind == "ode":
        from sandbox.ode_fit import declared_parameters

        return declared_parameters(equations_of(pack), pack.site.twin.model or "")
    return initial_parameters(pack.site)
