"""`pilothouse policy`: sign a trained policy, and check the one that a pack names."""

from pathlib import Path

import click

from api.cli import emit

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def policy() -> None:
    """Learned policies: sign, check."""


@policy.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--key", "key_files", multiple=True, required=True, type=click.Path(path_type=Path),
    help="An engineer's key; may be repeated.",
)  # fmt: skip
@AS_JSON
def sign(folder: Path, key_files: tuple[Path, ...], as_json: bool) -> None:
    """Show what the policy in FOLDER was compared with, and sign its manifest.

    The signature goes into policy.dsse.json, beside those of others about the same manifest.
    """
    from api.commands.plugin import signer_of
    from api.training import sign_policy
    from planner.rl.policy_manifest import MANIFEST_FILE, load_manifest

    manifest = load_manifest(folder / MANIFEST_FILE)
    for row in manifest.compared:
        click.echo(f"{row.name}: {row.total:.2f} a day, {row.violations} limits broken", err=True)
    signers = [signer_of(file) for file in key_files]
    path, count = sign_policy(folder, *signers)
    names = [s.person for s in signers]
    document = {"file": str(path), "policy": manifest.digest, "network": manifest.network_digest,
                "signed_by": names, "signatures": count}  # fmt: skip
    text = f"signed {manifest.digest[:23]} by {', '.join(names)}; signatures now: {count}"
    emit(document, as_json, text)


@policy.command()
@click.argument("site", type=click.Path(exists=True, path_type=Path))
@click.option("--root", "root_file", required=True, type=click.Path(exists=True, path_type=Path),
              help="The root of trust whose engineers must have signed.")  # fmt: skip
@AS_JSON
def check(site: Path, root_file: Path, as_json: bool) -> None:
    """Check the policy that the pack in SITE names, as a service does before every decision.

    Exit 1 with the reason where it is refused.
    """
    from api.assemble import load_context
    from api.site_policy import site_policy
    from graph.errors import InputError
    from safety.trust_root import load_root

    pack, context = load_context(site)
    found = site_policy(pack, context.twin, load_root(root_file))
    if found is None:
        raise InputError(f"the pack of {pack.site.id} names no policy", "see learned_policy")
    manifest = found.manifest
    document = {"policy": manifest.digest, "source": found.source, "persons": list(found.persons),
                "points": list(manifest.points), "columns": len(manifest.columns)}  # fmt: skip
    emit(document, as_json, f"{found.source}: signed by {', '.join(found.persons)}; fits the site")
