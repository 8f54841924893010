"""The command line: fast help, one JSON document, and what its exit status says."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.cli import COMMANDS
from safety.keys import signer_from_secret
from safety.trust_root import write_root
from tests.builders import NOW, build_bundle, make_keys

HELP_S = 0.7
SENTENCE = "minimise cost for the next 24 hours, keep the rooms between 20 and 24 °C"


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A small bundle, approved, and its root of trust."""
    folder = tmp_path_factory.mktemp("signed")
    built = build_bundle(folder, approve_as=[(make_keys().ann, "approver")])
    (folder / "bundle.json").write_bytes(built.data)
    write_root(folder / "root.json", built.root)
    return folder


def document_of(run):
    """The one JSON document of a run; fails when there is anything else on stdout."""
    return json.loads(run.stdout)


def failed_checks(run):
    return [c["name"] for c in document_of(run)["checks"] if not c["ok"]]


def test_help_answers_at_once_and_without_numpy(run_pilothouse):
    times = []
    for _ in range(5):
        began = time.perf_counter()
        run = run_pilothouse("--help")
        times.append(time.perf_counter() - began)
        assert run.returncode == 0
    for name in ("demo", "serve", "ask", "run", "shadow", "verify", "replay", "what-if", "site",
                 "plugin", "train", "policy", "keys", "ledger", "bench", "gate",
                 "plant"):  # fmt: skip
        assert f"\n  {name} " in run.stdout
    assert statistics.median(times) <= HELP_S
    traced = run_pilothouse("--help", PYTHONPROFILEIMPORTTIME="1").stderr
    assert "click" in traced
    assert "numpy" not in traced


def test_a_dry_run_is_one_document_and_a_question_ends_with_one(run_pilothouse):
    run = run_pilothouse("ask", SENTENCE, "--dry-run", "--json")
    assert run.returncode == 0
    assert document_of(run)["intent"]["objectives"][0]["quantity"] == "cost"
    run = run_pilothouse("ask", "keep the rooms warm", "--dry-run", "--json")
    assert run.returncode == 1
    assert document_of(run)["intent"] is None


def test_a_good_site_is_valid_and_a_wrong_one_is_named_by_file_line_and_field(
    run_pilothouse, quick_site, tmp_path
):
    run = run_pilothouse("site", "validate", quick_site, "--json")
    assert run.returncode == 0, run.stderr
    assert document_of(run)["ok"] is True
    folder = tmp_path / "plant"
    assert run_pilothouse("site", "new", folder, "--json").returncode == 0
    text = (folder / "site.yaml").read_text()
    assert "unit: kW" in text
    (folder / "site.yaml").write_text(text.replace("unit: kW", "unit: horses", 1))
    run = run_pilothouse("site", "validate", folder, "--json")
    assert run.returncode == 2
    line = text[: text.index("unit: kW")].count("\n") + 1
    assert f"site.yaml:{line}" in run.stderr
    assert "unit" in run.stderr
    assert document_of(run)["error"] == "SitePackError"


def test_keys_are_made_once_and_shown_as_one_document(run_pilothouse, tmp_path):
    folder = tmp_path / "keys"
    run = run_pilothouse("keys", "init", folder, "--lab", "--json")
    assert run.returncode == 0
    assert document_of(run)["lab"] is True
    shown = run_pilothouse("keys", "show", folder / "root.json", "--json")
    people = {k["person"]: k for k in document_of(shown)["keys"]}
    assert all(k["lab"] for k in people.values())
    assert len(people) == 4
    again = run_pilothouse("keys", "init", folder, "--lab", "--json")
    assert again.returncode == 2
    assert "is a workspace already" in again.stderr
    sealed = run_pilothouse("keys", "init", tmp_path / "real", "--json")
    assert sealed.returncode == 2
    assert "passphrase" in sealed.stderr
    assert not (tmp_path / "real").exists()


def test_a_key_of_ones_own_is_sealed_trusted_by_its_public_half_and_shown(run_pilothouse, tmp_path):
    root = tmp_path / "work" / "root.json"
    phrase = {"PILOTHOUSE_PASSPHRASE": "correct horse battery"}
    assert run_pilothouse("keys", "init", tmp_path / "work", **phrase).returncode == 0
    run = run_pilothouse(
        "keys", "new", tmp_path / "ann.json", "--person", "Ann", "--json", **phrase
    )
    made = document_of(run)
    assert (tmp_path / "ann.json").stat().st_mode & 0o077 == 0
    trusted = run_pilothouse(
        "keys", "trust", root, "--public", made["public"], "--person", "Ann",
        "--role", "approver", "--json",
    )  # fmt: skip
    assert document_of(trusted)["keyid"] == made["keyid"]
    shown = document_of(run_pilothouse("keys", "show", root, "--json"))
    assert shown["version"] == 2
    ann = next(k for k in shown["keys"] if k["person"] == "Ann")
    assert (ann["roles"], ann["lab"]) == (["approver"], False)


def test_verify_says_yes_no_and_wrong_use_with_0_1_and_2(run_pilothouse, signed, tmp_path):
    bundle, root = signed / "bundle.json", signed / "root.json"
    at = ("--at", NOW.isoformat())
    good = run_pilothouse("verify", bundle, "--root", root, *at, "--approved", "--json")
    assert good.returncode == 0, good.stdout
    assert document_of(good)["ok"] is True
    later = ("--at", "2026-02-01T00:00:00Z")
    late = run_pilothouse("verify", bundle, "--root", root, *later, "--json")
    assert late.returncode == 1
    assert failed_checks(late) == ["expired", "approval_window"]
    data = bytearray(bundle.read_bytes())
    data[len(data) // 3] ^= 1
    (tmp_path / "corrupt.json").write_bytes(data)
    corrupt = run_pilothouse("verify", tmp_path / "corrupt.json", "--root", root, *at, "--json")
    assert corrupt.returncode == 1
    assert failed_checks(corrupt)
    other = signer_from_secret(b"o" * 32, "somebody", lab=True)
    document = json.loads(root.read_text())
    keyid = document["roles"]["service"][0]
    document["keys"][other.keyid] = {**document["keys"].pop(keyid), "public": other.public}
    document["roles"]["service"] = [other.keyid]
    (tmp_path / "other.json").write_text(json.dumps(document))
    strange = run_pilothouse("verify", bundle, "--root", tmp_path / "other.json", *at, "--json")
    assert strange.returncode == 1
    assert "proposal_signature" in failed_checks(strange)
    missing = run_pilothouse("verify", bundle, "--root", tmp_path / "no-root.json")
    assert missing.returncode == 2
    assert "no-root.json" in missing.stderr
    timeless = run_pilothouse("verify", bundle, "--root", root, "--at", "yesterday", "--json")
    assert timeless.returncode == 2
    assert "not a usable time" in timeless.stderr


def test_what_if_is_one_document_and_refuses_a_question_without_a_change(
    run_pilothouse, quick_site
):
    run = run_pilothouse(
        "what-if", "--site", quick_site, "--price", 2, "--futures", 10, "--json"
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    found = document_of(run)
    assert found["difference"]["cost"]["mean"] > 0
    assert found["difference"]["energy"]["mean"] == pytest.approx(0.0)
    for wrong in ((), ("--set", "hp.power_set_kw=warm"), ("--off", "moon")):
        run = run_pilothouse("what-if", "--site", quick_site, "--futures", 2, *wrong)
        assert run.returncode == 2, (wrong, run.stdout)
        assert run.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("ask", "minimise cost", "--dry-run", "--site", "/no/such/site"), "/no/such/site"),
        (("ask", "minimise cost", "--dry-run", "--at", "teatime"), "teatime"),
        (("shadow", "--site", "{site}", "--from", "2030-01-01", "--to", "2030-01-02"), "telemetry"),
        (("run", "--site", "{site}", "--from", "2026-01-13", "--to", "2026-01-12"), "before"),
        (("serve", "--workspace", "{nowhere}"), "is no workspace"),
        (("replay", "{nowhere}"), "does not exist"),
        (("gate",), "which gate"),
        (("no-such-command",), "No such command"),
        (("verify",), "Missing argument"),
    ],
)  # fmt: skip
def test_wrong_input_ends_with_2_and_says_what_is_wrong(
    run_pilothouse, quick_site, tmp_path, arguments, word
):
    filled = [a.format(site=quick_site, nowhere=tmp_path / "nowhere") for a in arguments]
    run = run_pilothouse(*filled)
    assert run.returncode == 2, run.stdout + run.stderr
    assert word in run.stderr
    assert "Traceback" not in run.stderr


def test_every_command_explains_itself(run_pilothouse):
    code = (
        "import click, importlib\nfrom api.cli import COMMANDS, cli\n"
        "for name in COMMANDS:\n"
        "    context = click.Context(cli, info_name='pilothouse')\n"
        "    command = cli.get_command(context, name)\n"
        "    text = command.get_help(click.Context(command, info_name=name, parent=context))\n"
        "    assert command.help and '--help' in text, name\n"
        "    print(name)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == list(COMMANDS)
