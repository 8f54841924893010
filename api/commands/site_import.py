"""`pilothouse site import`: a telemetry file from outside becomes the pack's telemetry."""

import json
from pathlib import Path
from typing import Any

import click

from api.cli import emit

SHOWN_SPANS = 3
REPORT = "telemetry.report.json"
CHANGES = "telemetry.changes.jsonl"


def _pairs(values: tuple[str, ...], option: str, sides: str) -> dict[str, str]:
    """`A=B` options as a mapping; the last `=` divides, so that names may hold one."""
    found: dict[str, str] = {}
    for value in values:
        left, divides, right = value.rpartition("=")
        if not divides or not left or not right:
            raise click.BadParameter(f"{value!r}: expected {sides}", param_hint=option)
        if left in found:
            raise click.BadParameter(f"{left!r} is here twice", param_hint=option)
        found[left] = right
    return found


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--zone", default="", help="Zone of times without one; the site's if absent.")
@click.option("--map", "mapped", multiple=True, metavar="OLD=NEW", help="Name of a column here.")
@click.option("--begins", is_flag=True, help="Times are the begin of their interval, not its end.")
@click.option("--decide", multiple=True, metavar="ID=ANSWER", help="Answer to a question.")
@click.option("--replace", is_flag=True, help="Replace telemetry that is already there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def import_telemetry(
    folder: Path,
    file: Path,
    zone: str,
    mapped: tuple[str, ...],
    begins: bool,
    decide: tuple[str, ...],
    replace: bool,
    as_json: bool,
) -> None:
    """Make FILE (CSV or Parquet) the telemetry of the pack in FOLDER, and report what was wrong.

    Exit status 1, and nothing but the report is written, while a question is open.
    """
    from graph.raw_telemetry import read_raw
    from graph.sitepack import load_site
    from graph.telemetry import write_frame
    from sandbox.telemetry_quality import ImportOptions, clean

    pack = load_site(folder)
    target = _target(pack, replace)
    raw = read_raw(file, [s.id for s in pack.site.signals], _pairs(mapped, "--map", "OLD=NEW"))
    options = ImportOptions(zone, _pairs(decide, "--decide", "ID=ANSWER"), begins)
    cleaned = clean(pack.site, raw, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    document = cleaned.report.model_dump(mode="json")
    written = [str(target.parent / REPORT)]
    (target.parent / REPORT).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if not cleaned.report.doubtful:
        _write_changes(target.parent / CHANGES, raw, cleaned)
        write_frame(target, cleaned.frame)
        written += [str(target.parent / CHANGES), str(target)]
    emit({"ok": not cleaned.report.doubtful, "written": written, **document}, as_json,
         "\n".join([*import_text(cleaned.report), *(f"wrote {w}" for w in written)]))  # fmt: skip
    if cleaned.report.doubtful:
        raise SystemExit(1)


def _target(pack: Any, replace: bool) -> Path:
    from graph.errors import InputError

    name = pack.site.data.telemetry
    target: Path = pack.file(name)
    if target.suffix != ".parquet":
        raise InputError(
            f"site.yaml keeps its telemetry in {name}; an import writes Parquet",
            "set data.telemetry to data/telemetry.parquet",
        )
    if target.exists() and not replace:
        raise InputError(f"{target} exists", "nothing is overwritten without --replace")
    return target


def _write_changes(path: Path, raw: Any, cleaned: Any) -> None:
    """Every cell that is not in the result as it was in the file, one JSON document a line."""
    with path.open("w", encoding="utf-8") as stream:
        for bad in raw.unreadable:
            row = {"line": bad.line, "time": None, "signal": bad.signal, "was": bad.text,
                   "used": None, "reason": "unreadable"}  # fmt: skip
            stream.write(json.dumps(row) + "\n")
        for change in cleaned.changes:
            stream.writelines(json.dumps(row) + "\n" for row in change.rows())


def import_text(report: Any) -> list[str]:
    """The report in lines for people."""
    lines = [
        f"{report.file}: {report.rows_used} of {report.rows_read} rows used, one each "
        f"{report.raw_step_s:g} s; times: {report.zone}",
        f"{report.rows} rows of {report.step_s} s from {report.start.isoformat()} to "
        f"{report.end.isoformat()}",
    ]
    if report.unused_columns:
        lines.append(f"columns that are no signal: {', '.join(report.unused_columns)}")
    for defect in report.defects:
        lines.append(f"{defect.kind} {defect.signal} ({defect.count}): {defect.text}")
        lines += [f"    {_place(span)}" for span in defect.spans[:SHOWN_SPANS]]
        if len(defect.spans) > SHOWN_SPANS:
            lines.append(f"    and {len(defect.spans) - SHOWN_SPANS} more places")
        then = f"; {defect.next_step}" if defect.next_step else ""
        lines.append(f"    {defect.treatment}{then}")
    for question in report.questions:
        lines.append(f"? {question.text}")
        lines += [f"    {_place(span)}" for span in question.spans[:SHOWN_SPANS]]
        lines.append(f"    answer: --decide {question.id}={'|'.join(question.choices)}")
    if not report.defects:
        lines.append("nothing is wrong with it")
    return lines


def _place(span: Any) -> str:
    where = f"line {span.first_line}"
    if span.last_line != span.first_line:
        where = f"lines {span.first_line}-{span.last_line}"
    if span.since == span.until:
        return f"{where}, {span.since.isoformat()}"
    return f"{where}, {span.since.isoformat()} to {span.until.isoformat()}"
