"""Compliance: every rule must prove that it holds; a missing verdict is a failure.

A policy file is a package `pilothouse.<file name>` that declares `rules` (name -> hard, text,
would_pass, optional bound), one complete rule a name with `default <name> := "fail"`, and
`violations`, a set of {rule, text} that explains. A rule's id is `<file name>.<name>`.

The host's side, step by step:

1. each file is evaluated alone, by `RegoEngine`; a file that fails gives no verdict at all;
2. the ids that are demanded come from `declared_rules`, read when the site was loaded;
3. a demanded rule passes only if its value is the text "pass" and nobody reported a violation;
4. an id that is demanded and missing fails; an id that turns up without being demanded fails;
5. a soft rule that fails may be covered by a valid override; a hard one never is;
6. the proposal is allowed if every rule passed or is covered, and there was at least one.
"""

import fnmatch
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from graph.canonical import digest
from graph.errors import InputError, PilothouseError, RefusedError
from graph.intent import Band, Window
from graph.proposal import PolicyResult, Verdict
from graph.record import Record
from safety.rego_engine import RegoEngine, shared_engine

CORE = "core"
CORE_FILE = Path(__file__).parent / "policies" / "core.rego"
# Named here as well, so that a core pack that lost a rule is found out.
CORE_RULES = frozenset(
    f"{CORE}.{name}"
    for name in (
        "range", "rate", "dwell", "hard_constraints", "sandbox_passed", "solver_usable",
        "rollback_tested", "lease", "expiry", "holds_respected", "autonomy_mode", "starts",
        "quorum", "explained",
    )
)  # fmt: skip
OVERRIDE_ROLES = frozenset({"approver", "engineer"})
SHOWN = 3  # violations that a reason spells out
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")


class RuleBound(Record):
    """A rule in the planner's terms, so that plans keep it from the start."""

    signal: str = Field(description="a signal, or a pattern such as *.heating_setpoint_degc")
    unit: str
    minimum_milli: int | None = None
    maximum_milli: int | None = None
    daily_from: str | None = None
    daily_to: str | None = None
    last_steps: int | None = Field(None, ge=1, description="holds in the horizon's last steps only")


class RuleSpec(Record):
    """A rule as its file declares it."""

    id: str
    hard: bool
    text: str = Field(min_length=1)
    would_pass: str = Field(min_length=1)
    bound: RuleBound | None = None


def with_core(site_policies: Mapping[str, str]) -> dict[str, str]:
    """The core pack and a site's own files, by name without `.rego`.

    Raises:
        InputError: a name that is not one, or a site file that calls itself core.
    """
    policies = {CORE: CORE_FILE.read_text()}
    for file, text in sorted(site_policies.items()):
        name = Path(file).name.removesuffix(".rego")
        if not _NAME.match(name):
            raise InputError(f"policy file {file!r} has no usable name", "e.g. site.rego")
        if name in policies and policies[name] != text:
            raise InputError(f"there are two policy files named {name!r}", "core is the core pack")
        policies[name] = text
    return policies


def declared_rules(
    policies: Mapping[str, str], engine: RegoEngine | None = None
) -> tuple[RuleSpec, ...]:
    """The rules that the files declare, ordered by id.

    Raises:
        InputError: a file that does not parse or declares no or unusable rules; a core pack
            without one of the core rules.
    """
    engine = engine or shared_engine()
    found = [
        spec
        for name, text in sorted(policies.items())
        for spec in _specs(name, engine.evaluate(f"pilothouse.{name}", text, {}))
    ]
    lost = CORE_RULES - {s.id for s in found}
    if lost:
        raise InputError(f"the core pack lacks {', '.join(sorted(lost))}")
    return tuple(sorted(found, key=lambda s: s.id))


def _specs(name: str, package: Mapping[str, Any]) -> list[RuleSpec]:
    rules = package.get("rules")
    if not isinstance(rules, dict) or not rules:
        raise InputError(
            f"policy {name} declares no rules", 'write rules := {"name": {"hard": true, ...}}'
        )
    specs = []
    for rule, fields in rules.items():
        try:
            if not isinstance(fields, dict) or not _NAME.match(rule):
                raise ValueError("expected a name and an object of hard, text, would_pass")
            specs.append(RuleSpec(id=f"{name}.{rule}", **fields))
        except (ValidationError, ValueError, TypeError) as error:
            raise InputError(f"policy {name}: rule {rule!r} is not usable: {error}") from error
        if package.get(rule) not in ("pass", "fail"):
            raise InputError(
                f"policy {name}: rule {rule!r} has no verdict without input",
                f'write: default {rule} := "fail"',
            )
    return specs


def evaluate_policies(
    policies: Mapping[str, str],
    document: dict[str, Any],
    expected: Sequence[RuleSpec],
    engine: RegoEngine | None = None,
) -> PolicyResult:
    """Judge `document` (from `policy_input`) by all files; deterministic for equal inputs.

    Raises:
        InputError: `expected` is empty or lacks a core rule, or the input holds a float.
        RefusedError: `hard_rule`: an override of a hard rule was handed in.
    """
    engine = engine or shared_engine()
    if CORE_RULES - {s.id for s in expected}:
        raise InputError("the expected rules lack a part of the core pack")
    _refuse_floats(document)
    packages, broken = _evaluate_each(policies, document, engine)
    verdicts = [_verdict(s, packages, broken) for s in sorted(expected, key=lambda s: s.id)]
    verdicts += _unexpected(packages, {s.id for s in expected})
    covered = _covered(document, expected, verdicts)
    bundle_digest = digest(dict(policies))
    decision = digest({"bundle": bundle_digest, "input": document, "engine": engine.name})
    return PolicyResult(
        bundle_digest=bundle_digest,
        decision_id=decision.removeprefix("sha256:")[:32],
        engine=engine.name,
        verdicts=tuple(verdicts),
        overrides=tuple(covered[rule] for rule in sorted(covered)),
        allowed=bool(verdicts)
        and all(v.verdict == "pass" or (not v.hard and v.rule in covered) for v in verdicts),
    )


def rule_bands(
    rules: Sequence[RuleSpec], start: datetime, end: datetime, step_s: int, signals: Sequence[str]
) -> tuple[Band, ...]:
    """The bounds that rules declare, as constraints of a plan over `start`..`end`.

    `signals`: the site's; a bound may name several by a pattern.
    A hard rule gives a hard band, a soft one a band with the usual chance of 95 %.
    """
    bands = []
    for rule in rules:
        bound = rule.bound
        if bound is None:
            continue
        named = tuple(fnmatch.filter(signals, bound.signal)) or (bound.signal,)
        first = None
        if bound.last_steps is not None:
            first = max(start, end - timedelta(seconds=step_s * bound.last_steps))
        low, high = bound.minimum_milli, bound.maximum_milli
        bands.append(
            Band(
                signals=named,
                minimum=None if low is None else low / 1000,
                maximum=None if high is None else high / 1000,
                unit=bound.unit,
                hard=rule.hard,
                chance=None if rule.hard else 0.95,
                window=Window(start=first, daily_from=bound.daily_from, daily_to=bound.daily_to),
                text=f"{rule.id}: {rule.text}",
            )
        )
    return tuple(bands)


def _evaluate_each(
    policies: Mapping[str, str], document: dict[str, Any], engine: RegoEngine
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    packages: dict[str, dict[str, Any]] = {}
    broken: dict[str, str] = {}
    for name, text in sorted(policies.items()):
        try:
            packages[name] = engine.evaluate(f"pilothouse.{name}", text, document)
        except PilothouseError as error:
            broken[name] = error.message
    return packages, broken


def _verdict(
    spec: RuleSpec, packages: Mapping[str, Mapping[str, Any]], broken: Mapping[str, str]
) -> Verdict:
    name, rule = spec.id.split(".", 1)
    package = packages.get(name)
    if package is None:
        reason = broken.get(name, f"no policy file {name} was handed in")
        return _failed(spec, reason)
    if rule not in package:
        return _failed(spec, "the policy gave no verdict for this rule")
    reports = _reports(package, rule)
    if package[rule] == "pass" and not reports:
        return Verdict(rule=spec.id, verdict="pass", hard=spec.hard, reason=spec.text)
    if not reports:
        return _failed(spec, f"not proven: {spec.text}")
    more = f"; and {len(reports) - SHOWN} more" if len(reports) > SHOWN else ""
    return _failed(spec, "; ".join(reports[:SHOWN]) + more)


def _failed(spec: RuleSpec, reason: str) -> Verdict:
    return Verdict(
        rule=spec.id, verdict="fail", hard=spec.hard, reason=reason, would_pass=spec.would_pass
    )


def _reports(package: Mapping[str, Any], rule: str) -> list[str]:
    reports = package.get("violations", [])
    if not isinstance(reports, list):
        return ["the policy's violations are not a set"]
    texts = []
    for report in reports:
        if not isinstance(report, dict) or "rule" not in report:
            texts.append("the policy reports a violation without naming a rule")
        elif report["rule"] == rule:
            texts.append(str(report.get("text", "violated"))[:300])
    return sorted(texts)


def _unexpected(packages: Mapping[str, Mapping[str, Any]], expected: set[str]) -> list[Verdict]:
    extra = set()
    for name, package in packages.items():
        rules = package.get("rules")
        declared = set(rules) if isinstance(rules, dict) else set()
        answered = {k for k, v in package.items() if v in ("pass", "fail")}
        extra |= {f"{name}.{rule}" for rule in declared | answered}
    return [
        Verdict(
            rule=rule, verdict="fail", hard=True,
            reason="the policy gives a verdict that nobody expects",
            would_pass="read the site's rules again after a policy changed",  # noqa: S106
        )
        for rule in sorted(extra - expected)
    ]  # fmt: skip


def _covered(
    document: Mapping[str, Any], expected: Sequence[RuleSpec], verdicts: Sequence[Verdict]
) -> dict[str, str]:
    """Failed soft rules with a valid override, and how the record says so."""
    hard = {s.id: s.hard for s in expected}
    failed = {v.rule for v in verdicts if v.verdict == "fail"}
    covered: dict[str, str] = {}
    for item in document.get("overrides", ()):
        rule = item["rule"]
        if hard.get(rule, True):
            raise RefusedError(
                "hard_rule", f"{rule} is not a soft rule and cannot be overridden",
                "change the proposal, or the rule by two people",
            )  # fmt: skip
        valid = item["not_after_ms"] > document["now_ms"] and item["role"] in OVERRIDE_ROLES
        if rule in failed and valid:
            covered[rule] = f"{rule}: {item['person']} ({item['role']}): {item['reason']}"
    return covered


def _refuse_floats(value: Any, path: str = "input") -> None:
    if isinstance(value, float):
        raise InputError(f"{path} is a float; policies compare integers only")
    if isinstance(value, dict):
        for key, child in value.items():
            _refuse_floats(child, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for k, child in enumerate(value):
            _refuse_floats(child, f"{path}[{k}]")
