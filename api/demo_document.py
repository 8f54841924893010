"""What the demonstration prints and leaves behind: one document, a table, a report."""

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.safeguards import trace_of
from api.demo import DemoRun
from api.plant_log import PlantLog, read_log
from api.references import captured_share, day_kpis, prices_of
from api.report import DaySeries, Panel, band_chart, day_chart, write_report
from graph.canonical import canonical_bytes
from graph.sitepack import SitePack, load_site

COLUMNS = ("copilot", "baseline", "foresight of the twin", "foresight of the plant")
# KPI, label, digits; money rows get the site's currency.
ROWS = (
    ("settled_cost", "cost, storage settled", 2), ("cost", "cost", 2),
    ("storage_value", "value of the change in storage", 2), ("energy", "imported energy [kWh]", 1),
    ("carbon", "carbon [kg]", 1), ("comfort", "discomfort [K.h]", 2),
    ("starts", "heat pump starts", 0), ("peak", "peak import [kW]", 1),
)  # fmt: skip
NOTES = (
    "Recompute the copilot's column from plant.csv: it is the plant's own log.",
    "Foresight of the twin: one plan with the disturbances that came, played in the twin.",
    "Foresight of the plant: the same planner with true forecasts, re-planned hourly on the plant; "
    "the twin's own errors remain in it.",
)


def build(run: DemoRun) -> dict[str, Any]:
    """The whole document; every figure is measured in this run."""
    assert run.proposal is not None
    assert run.references is not None
    settings, proposal = run.settings, run.proposal
    pack = load_site(settings.folder)
    end = settings.start + timedelta(hours=settings.hours)
    log = read_log(settings.out / "plant.csv", [s.id for s in pack.site.signals])
    copilot = day_kpis(pack, log, settings.start, end)
    columns = {
        "copilot": copilot,
        "baseline": run.references["baseline"].kpis,
        "foresight of the twin": run.references["twin"].kpis,
        "foresight of the plant": run.references["plant"].kpis,
    }
    share = captured_share(copilot, columns["baseline"], columns["foresight of the plant"])
    detail = (run.detail or {}).get("detail", {})
    predicate = proposal.model_dump(mode="json")
    return {
        "site": {"id": pack.site.id, "name": pack.site.name, "currency": pack.site.currency},
        "day": f"{settings.start.astimezone(pack.site.zone_info):%Y-%m-%d %H:%M} to "
        f"{end.astimezone(pack.site.zone_info):%Y-%m-%d %H:%M}",
        "intent": {"text": proposal.intent, "restatement": proposal.restatement,
                   "compiled": predicate["compiled_intent"]},
        "candidates": [_candidate(p) for p in detail.get("plans", [])],
        "shadow": predicate["sandbox_results"]["shadow"],
        "canary": predicate["sandbox_results"]["canary"],
        "policy": predicate["policy"],
        "causal": predicate["causal"],
        "counterfactuals": predicate["counterfactuals"],
        "risk": predicate["risk"],
        "confidence": proposal.confidence,
        "proposal": predicate,
        "signature": _signature(run),
        "ledger": _ledger(run),
        "rollout": {"events": run.events or [], "missed_replans": run.missed or [],
                    "proposals": [{k: p[k] for k in ("id", "state", "risk", "under")}
                                  for p in run.proposals or []]},
        "rollback": run.rollback,
        "prediction": scored(run),
        "kpis": kpi_table_of(pack, columns, share),
    }  # fmt: skip


def _candidate(plan: Mapping[str, Any]) -> dict[str, Any]:
    keep = ("source", "status", "objective", "bound", "gap", "nodes", "iterations",
            "objective_terms", "active", "notes")  # fmt: skip
    return {k: plan.get(k) for k in keep}


def _signature(run: DemoRun) -> dict[str, Any]:
    bundle = json.loads(run.bundle)
    from safety.signing import proposal_digest

    assert run.proposal is not None
    return {
        "proposal_digest": proposal_digest(run.proposal),
        "keyids": [s["keyid"] for s in bundle["proposal"]["signatures"]],
        "approvals": len(bundle["approvals"]),
    }


def _ledger(run: DemoRun) -> dict[str, Any]:
    from safety.checkpoint import parse_checkpoint

    checkpoint = parse_checkpoint(run.ledger_note).checkpoint
    proof = run.ledger_proof or {}
    return {
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "root": checkpoint.root.hex(),
        "index": proof.get("index"),
        "checkpoint": run.ledger_note,
    }


def scored(run: DemoRun) -> dict[str, Any]:
    """How the committed 90 % bands did over all plans of the run, by signal."""
    totals: dict[str, dict[str, Any]] = {}
    for proposal in run.proposals or []:
        for name, found in ((proposal["resolution"] or {}).get("signals") or {}).items():
            row = totals.setdefault(
                name, {"unit": found["unit"], "samples": 0, "inside": 0, "worst": 0.0}
            )
            row["samples"] += found["samples"]
            row["inside"] += found["inside"]
            row["worst"] = max(row["worst"], found["worst"])
    return totals


def kpi_table_of(
    pack: SitePack, columns: Mapping[str, Mapping[str, float]], share: float
) -> dict[str, Any]:
    """Rows for people and the numbers behind them."""
    rows = []
    for name, label, digits in ROWS:
        money = (
            f"{label} [{pack.site.currency}]" if "[" not in label and name != "starts" else label
        )
        values = [f"{columns[c][name]:.{digits}f}" for c in COLUMNS]
        rows.append({"kpi": name, "label": money, "values": values})
    captured = "no saving was possible" if math.isnan(share) else f"{share:.1%}"
    return {
        "columns": list(COLUMNS),
        "rows": rows,
        "values": {c: dict(columns[c]) for c in COLUMNS},
        "captured_share": None if math.isnan(share) else share,
        "notes": [
            f"Share of the saving that perfect forecasts allow on the plant: {captured}",
            *NOTES,
        ],
    }


def table_text(table: Mapping[str, Any]) -> str:
    """The table for a terminal."""
    width = max(len(r["label"]) for r in table["rows"]) + 2
    head = " " * width + "".join(f"{c:>24}" for c in table["columns"])
    lines = [
        head,
        *(
            f"{row['label']:<{width}}" + "".join(f"{v:>24}" for v in row["values"])
            for row in table["rows"]
        ),
    ]
    return "\n".join([*lines, *table["notes"][:1]])


def leave_files(run: DemoRun, document: Mapping[str, Any]) -> dict[str, Path]:
    """Write demo.json and report.html; name all that lies in the folder."""
    out = run.settings.out
    (out / "demo.json").write_bytes(canonical_bytes(dict(document)))
    write_report(out / "report.html", document, _charts(run))
    names = ("report.html", "demo.json", "bundle.json", "root.json", "plant.csv")
    return {name: out / name for name in names}


def _charts(run: DemoRun) -> dict[str, str]:
    assert run.proposal is not None
    assert run.references is not None
    pack = load_site(run.settings.folder)
    end = run.settings.start + timedelta(hours=run.settings.hours)
    mine = read_log(run.settings.out / "plant.csv", [s.id for s in pack.site.signals])
    mine = mine.between(run.settings.start, end)
    other = run.references["baseline"].log
    assert other is not None
    other = other.between(run.settings.start, end)
    rows = min(len(mine.times), len(other.times))
    series = DaySeries(
        times=mine.times[:rows],
        copilot={n: v[:rows] for n, v in mine.columns.items()},
        baseline={n: v[:rows] for n, v in other.columns.items()},
        import_price=np.array(prices_of(pack, mine).import_price[:rows]),
    )
    shadow = run.proposal.sandbox_results.shadow
    bands = []
    for outcome in shadow.outcomes:
        trace = trace_of(outcome.traces, "battery.soc_pct")
        if trace is not None and outcome.source in ("baseline", shadow.candidate):
            bands.append({"name": outcome.source, **trace.model_dump()})
    return {
        "day": day_chart(series, panels(pack, mine), pack.site.zone_info),
        "bands": band_chart(bands, "battery charge, 90 % of futures [%]"),
    }


def panels(pack: SitePack, log: PlantLog) -> list[Panel]:
    """Charts of the signals that this site has."""
    site = pack.site
    zones = tuple(f"{a.id}.temp_degc" for a in site.of_kind("zone"))
    comfort = site.comfort
    limits = (comfort.lower_degc, comfort.upper_degc) if comfort else ()
    wanted = [
        Panel(
            "grid import", "kW", tuple(f"{a.id}.power_kw" for a in site.of_kind("grid_connection"))
        ),
        Panel("battery charge", "%", tuple(f"{a.id}.soc_pct" for a in site.of_kind("battery"))),
        Panel("heat pump", "kW", tuple(f"{a.id}.power_kw" for a in site.of_kind("heat_pump"))),
        Panel("tank", "°C", tuple(f"{a.id}.temp_degc" for a in site.of_kind("buffer_tank"))),
        Panel("rooms", "°C", zones, limits),
    ]
    return [p for p in wanted if p.signals and all(s in log.columns for s in p.signals)]
