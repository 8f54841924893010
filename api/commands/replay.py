"""`pilothouse replay`."""

from pathlib import Path

import click

from api.cli import emit


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--root", type=click.Path(exists=True, path_type=Path), default=None,
              help="The root of trust; default: root.json beside FILE.")  # fmt: skip
@click.option("--with-intent", "sentence", default=None,
              help="Compare with what this sentence would have led to.")  # fmt: skip
@click.option("--plan", "plan_file", default=None,
              type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Compare with the plan in this JSON file: point -> list of values.")  # fmt: skip
@click.option("--seed", type=int, default=None,
              help="Other futures; alone: against doing nothing.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def replay(
    file: Path, root: Path | None, sentence: str | None, plan_file: Path | None, seed: int | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Run the decision in FILE again, from its own snapshot and seed, and compare the bytes.

    Exit status 1 when they differ; the first step that differs is named, and so is every way in
    which this machine is another than the one that decided. With --with-intent, --plan or --seed
    nothing is compared byte for byte: the decision's plan meets another one on the same futures.
    """
    from api.replay import replay_bundle
    from safety.trust_root import load_root

    trust = root or file.with_name("root.json")
    if sentence is not None or plan_file is not None or seed is not None:
        from api.counterfactual import counterfactual

        found = counterfactual(file.read_bytes(), load_root(trust), sentence, plan_file, seed)
        emit(found.document(), as_json, found.text())
        return
    report = replay_bundle(file.read_bytes(), load_root(trust))
    lines = [f"signed   {report.signed_digest}", f"replayed {report.replayed_digest}"]
    lines += [f"this machine differs: {e}" for e in report.environment]
    lines += [f"differs in {d}" for d in report.differs]
    lines.append("identical" if report.identical else "NOT identical")
    emit(report.document(), as_json, "\n".join(lines))
    if not report.identical:
        raise SystemExit(1)
