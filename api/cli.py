"""The `pilothouse` command. Subcommands load when called, so that `--help` answers at once.

Exit status: 0 fine, 1 a check said no, 2 wrong use or input.
"""

import importlib
import json
import logging
import os
import sys
from typing import Any

import click

from graph.errors import InputError, PilothouseError

# name: (module:attribute, one line for --help)
COMMANDS = {
    "demo": ("api.commands.demo:demo", "A simulated day, from a sentence to a rolled-back fault."),
    "serve": ("api.commands.serve:serve", "Run the service (HTTP API) for a site."),
    "ask": ("api.commands.ask:ask", "Compile a sentence and, unless --dry-run, get a proposal."),
    "approve": (
        "api.commands.approve:approve",
        "Sign an approval or a rejection with your own key.",
    ),
    "run": ("api.commands.run:run", "Close the loop on a plant that can be stepped."),
    "shadow": (
        "api.commands.shadow:shadow",
        "Run over recorded telemetry; nothing can be written.",
    ),
    "verify": ("api.commands.verify:verify", "Check a signed bundle offline."),
    "replay": ("api.commands.replay:replay", "Run a decision again from its bundle."),
    "what-if": ("api.commands.what_if:what_if", "Ask the twin what would happen."),
    "site": ("api.commands.site:site", "Site packs: new, import, validate, fit."),
    "plugin": (
        "api.commands.plugin:plugin",
        "WASM plugins: new, build, test, sign, install, list.",
    ),
    "train": ("api.commands.train:train", "Train a policy for a site and compare it."),
    "policy": ("api.commands.policy:policy", "Learned policies: sign, check."),
    "keys": ("api.commands.keys:keys", "Signing keys and the root of trust."),
    "ledger": ("api.commands.ledger:ledger", "The tamper-evident log: verify."),
    "bench": ("api.commands.bench:bench", "Measure, beside the targets."),
    "gate": ("api.commands.gate:gate", "Run the gate beside the plant."),
    "plant": ("api.commands.plant:plant", "Run a site's emulated plant (OPC UA)."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        found: click.Command = getattr(importlib.import_module(module), attribute)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Log to stderr.")
@click.version_option(package_name="pilothouse")
def cli(verbose: bool) -> None:
    """A control copilot for digital twins: proves an action before it is taken."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )


def emit(document: Any, as_json: bool, text: str) -> None:
    """Print one JSON document, or the text for people."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False) if as_json else text)


def main() -> None:
    """Entry point: turns this project's errors into a message and an exit status."""
    # Identical bytes need identical reductions: one BLAS thread here and in every worker.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    try:
        cli(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except PilothouseError as error:
        _report(error)
        sys.exit(2 if isinstance(error, InputError) else 1)


def _report(error: PilothouseError) -> None:
    if "--json" in sys.argv:
        document = {"error": type(error).__name__, "message": str(error), "hint": error.hint}
        click.echo(json.dumps(document, ensure_ascii=False))
    click.echo(f"pilothouse: {error}", err=True)


if __name__ == "__main__":
    main()
