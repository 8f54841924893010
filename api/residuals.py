"""What the residual monitor says of a site's telemetry, and the twin that it would put in place."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from api.learned_twin import seen_until
from api.times import parse_local
from graph.errors import InputError, PilothouseError
from graph.sitepack import SitePack
from graph.telemetry import Frame, read_frame
from sandbox.parameters import load_parameters, save_parameters
from sandbox.recalibrate import Revision, recalibrate
from sandbox.residual_watch import Watched, size_of, watch_twin
from sandbox.twin import make_twin

DAYS = 28  # of telemetry, the last ones, where nobody names a stretch
REVISION_SUFFIX = ".revision.json"
KINDS = {
    "none": "nothing wrong", "sensor_fault": "a sensor", "process_fault": "the plant has changed",
    "model_error": "the twin is wrong", "unknown": "something that no cause explains",
}  # fmt: skip


def telemetry_of(
    pack: SitePack, file: Path | None, begin: str | None, end: str | None, days: float | None
) -> Frame:
    """The stretch to watch: of `file`, else of the pack's own telemetry; the last days of it.

    Raises:
        InputError: not a time, or nothing lies there.
    """
    frame = read_frame(file) if file is not None else pack.telemetry()
    zone = pack.site.time_zone
    if begin is not None or end is not None:
        before = frame.start - timedelta(seconds=frame.step_s)
        first = parse_local(begin, zone) if begin is not None else before
        last = parse_local(end, zone) if end is not None else frame.end
        frame = frame.window(first, last)
    if days is None and begin is None:
        days = DAYS
    if days is not None:
        frame = frame.tail(round(days * 86_400 / frame.step_s))
    if not len(frame):
        raise InputError("no telemetry in the stretch that was asked for", "see --from and --to")
    return frame


def watch_pack(pack: SitePack, frame: Frame) -> Watched:
    """The pack's twin on a stretch of telemetry. Raises InputError; see `watch_twin`."""
    parameters = load_parameters(pack.file(pack.site.twin.parameters))
    return watch_twin(make_twin(pack.site, parameters), frame)


@dataclass(frozen=True)
class Attempt:
    """A recalibration: the revision and the file it was written to, or why there is none."""

    revision: Revision | None = None
    target: Path | None = None
    refusal: str = ""


def attempt(pack: SitePack, watched: Watched, frame: Frame) -> Attempt:
    """Recalibrate; write an offered twin beside the one in force, which stays as it is."""
    try:
        revision = recalibrate(watched, frame)
    except PilothouseError as error:
        return Attempt(refusal=str(error))
    if not revision.offered:
        return Attempt(revision)
    current = pack.folder / pack.site.twin.parameters
    target = current.with_name(current.stem + REVISION_SUFFIX)
    save_parameters(target, revision.parameters)
    return Attempt(revision, target)


def lines(watched: Watched) -> list[str]:
    """The monitor's words for people; times in the site's zone."""
    last = watched.judgements[-1]
    kinds = ", ".join(f"{KINDS[k]} {p:.0%}" for k, p in last.kinds.items() if p >= 0.005)
    said = [
        f"{watched.begins[0]:%Y-%m-%d %H:%M} to {last.time:%Y-%m-%d %H:%M}: "
        f"{len(watched.judgements)} judgements, {watched.alarms} alarms",
        f"now{', besides what is known' if last.known else ''}: {kinds}",
    ]
    said += [f"  {w.probability:4.0%}  {w.cause.text}" for w in last.weighed[:3]
             if w.cause is not None and w.probability >= 0.01]  # fmt: skip
    for one in watched.confirmed:
        began = watched.began(one)
        since = f"since {began:%Y-%m-%d %H:%M}" if began else "from before the monitor looks back"
        known = size_of(one)
        shown = (
            f"{known or 0:+.0%}" if one.cause.unit == "1" else f"{known or 0:+.2g} {one.cause.unit}"
        )
        size = "" if known is None else f" ({shown})"
        over = "" if one in watched.present else ", over by now"
        said.append(
            f"{KINDS[one.cause.kind]}: {one.cause.text}{size}, {since}, "
            f"named {watched.named(one):%Y-%m-%d %H:%M}{over}"
        )
    if not watched.confirmed:
        said.append("nothing is confirmed")
    seen = seen_until(watched.twin.parameters)
    if seen > watched.begins[0]:
        said.append(f"the twin was fitted on days up to {seen:%Y-%m-%d}: there it errs less")
    return said


def attempt_lines(made: Attempt) -> list[str]:
    """A recalibration for people."""
    revision = made.revision
    if revision is None:
        return [f"not recalibrated: {made.refusal}"]
    said = [f"recalibrated since {revision.since:%Y-%m-%d %H:%M} because {revision.why}"]
    said += [
        f"  {words} at 24 h on held-back days: error {value:.3g} before, "
        f"{revision.after[words]:.3g} after"
        for words, value in revision.before.items()
    ]
    said += [f"  {name}: {old:.4g} -> {new:.4g}" for name, (old, new) in revision.moved.items()]
    if made.target is None:
        return [*said, "NOT offered: " + "; ".join(revision.reasons)]
    return [
        *said,
        f"offered: {revision.parameters.digest}",
        f"would replace: {revision.replaces}",
        f"wrote {made.target}; the twin in force is unchanged",
    ]


def document(watched: Watched, made: Attempt | None) -> dict[str, Any]:
    """All of it for programs."""
    found = watched.document()
    if made is not None and made.revision is not None:
        file = str(made.target) if made.target else None
        found["revision"] = made.revision.document() | {"file": file}
    elif made is not None:
        found["revision"] = {"offered": False, "reasons": [made.refusal]}
    return found
