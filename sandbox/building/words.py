"""A building's fit as tables for people."""

from typing import Any

import numpy as np

from sandbox.parameters import TwinParameters


def building_table(parameters: TwinParameters) -> str:
    """Parameters, structure, excitation, errors beside simple forecasts, steps and the verdict."""
    report = parameters.report
    parts = [_parameters(parameters)]
    if "skill" in report:
        parts += [_structure(report), _excitation(report["excitation"]), _skill(report["skill"]),
                  _pooled(report["pooled_24h"]), _steps(report["setpoint_steps"]),
                  _coverage(report)]  # fmt: skip
    word = "fit for control" if parameters.fit_for_control else "NOT fit for control"
    return "\n\n".join([*parts, f"{word}: {'; '.join(report.get('reasons', []))}"])


def _parameters(parameters: TwinParameters) -> str:
    std = np.sqrt(np.diag(np.asarray(parameters.covariance)))
    lines = [f"{'parameter':34s} {'value':>10s}   spread (one standard deviation)"]
    for name, value, space, spread in zip(
        parameters.names, parameters.values, parameters.spaces, std, strict=True
    ):
        shown = f"× or ÷ {np.exp(spread):.2f}" if space == "log" else f"± {spread:.2g}"
        lines.append(f"{name:34s} {value:10.4g}   {shown}")
    return "\n".join(lines)


def _structure(report: dict[str, Any]) -> str:
    chosen = report["structure"]
    orders = sorted({int(k) for row in chosen["validation_rmse_k"].values() for k in row})
    head = f"{'heat nodes, validation error K':34s} " + " ".join(f"{k:>7d}" for k in orders)
    lines = [f"{head}   chosen   facades"]
    for zone, row in chosen["validation_rmse_k"].items():
        scores = " ".join(f"{row[str(k)]:7.3f}" if str(k) in row else " " * 7 for k in orders)
        facades = ", ".join(chosen["facades"][zone]) or "none"
        lines.append(f"{zone:34s} {scores}   {chosen['order'][zone]:6d}   {facades}")
    pairs = ", ".join(" - ".join(p) for p in chosen["pairs"]) or "none"
    return "\n".join([*lines, f"zones that share heat: {pairs}", f"zone heat: {report['heat']}"])


def _excitation(found: dict[str, Any]) -> str:
    lines = [f"{'excitation: ' + found['verdict']:40s} {'moves':>6s} {'beyond clock':>13s}"]
    lines += [
        f"{name:40s} {d['moving_share']:6.0%} {d['beyond_clock_share']:13.0%}   {d['verdict']}"
        for name, d in found["inputs"].items()
    ]
    lines.append(
        f"{'zone':20s} {'air beyond clock K':>19s} {'setpoints depart':>17s} {'condition':>10s}"
    )
    for zone, d in found["zones"].items():
        why = f" ({'; '.join(d['why'])})" if d["why"] else ""
        lines.append(
            f"{zone:20s} {d['air_beyond_clock_k']:19.2f} {d['setpoints_depart_share']:17.0%} "
            f"{d['condition_number']:10.1f}   {d['verdict']}{why}"
        )
    return "\n".join(lines)


COLUMNS = (
    ("twin", "twin"), ("persistence", "persist."), ("seasonal", "day ago"),
    ("week_before", "week ago"), ("linear", "linear"), ("bias", "bias"),
)  # fmt: skip


def _skill(table: list[dict[str, Any]]) -> str:
    head = f"{'RMSE on held-back days':24s} {'h':>4s} "
    lines = [head + " ".join(f"{words:>9s}" for _, words in COLUMNS)]
    for row in table:
        cells = (f"{row[c]:9.3f}" if row[c] is not None else f"{'-':>9s}" for c, _ in COLUMNS)
        lines.append(f"{row['signal']:24s} {row['horizon_h']:4g} " + " ".join(cells))
    return "\n".join(lines)


def _pooled(found: dict[str, dict[str, float]]) -> str:
    return "\n".join(
        f"24 h, {words}: twin {d['twin']:.3g}, persistence {d['persistence']:.3g}, "
        f"day ago {d['seasonal']:.3g}, linear black box {d['linear']:.3g}"
        for words, d in found.items()
    )


def _steps(found: dict[str, Any]) -> str:
    if not found["steps"]:
        return "setpoint steps on the held-back days: none"
    return (
        f"setpoint steps on the held-back days: {found['steps']}, "
        f"response {found['gain_twin']:.2f} K/K where the real one was {found['gain_actual']:.2f}, "
        f"slope {found['gain_ratio']:.2f}, wrong sign {found['wrong_sign_share']:.0%}; "
        f"time to 63 %: {found['time_63_twin_h']:.2f} h, really {found['time_63_actual_h']:.2f} h"
    )


def _coverage(report: dict[str, Any]) -> str:
    lines = []
    for key, of in (("coverage_90", "of sampled futures"),
                    ("coverage_90_parameters", "of parameters alone")):  # fmt: skip
        shares = ", ".join(f"{s} {v:.0%}" for s, v in report[key].items())
        lines.append(f"held-back samples inside the 90 % band {of}: {shares}")
    return "\n".join(lines)
