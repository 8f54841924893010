"""The Merkle tree against RFC 6962 and pymerkle; the ledger against cuts, forks and edits."""

import json
import multiprocessing
import shutil
import sqlite3
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from graph.errors import InputError, IntegrityError
from safety.checkpoint import (
    Checkpoint,
    note_key_hash,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
    verify_note,
)
from safety.keys import lab_signer
from safety.ledger import Ledger
from safety.ledger_audit import checkpoint_path, leaf_of, verify_ledger
from safety.merkle import (
    EMPTY_ROOT,
    CompactRange,
    consistency_path,
    inclusion_path,
    leaf_hash,
    read_range,
    verify_consistency,
    verify_inclusion,
)
from tests.builders import ORIGIN, make_keys

KEYS = make_keys()
ROOT = KEYS.root()

# Leaves and roots of the reference implementation of Certificate Transparency (RFC 6962).
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class MemoryTree:
    """Complete subtrees in a dictionary."""

    def __init__(self, leaves):
        self.range, self.nodes, self.roots = CompactRange(), {}, [EMPTY_ROOT]
        for index, leaf in enumerate(leaves):
            self.nodes[0, index] = leaf_hash(leaf)
            for level, at, value in self.range.push(leaf_hash(leaf)):
                self.nodes[level, at] = value
            self.roots.append(self.range.root())

    def node(self, level, index):
        return self.nodes[level, index]


def test_roots_are_those_of_certificate_transparency():
    assert [root.hex() for root in MemoryTree(CT_LEAVES).roots[1:]] == CT_ROOTS
    assert EMPTY_ROOT.hex().startswith("e3b0c44298fc1c14")


def test_roots_and_inclusion_paths_are_those_of_pymerkle():
    leaves = [bytes([n, n]) for n in range(70)]
    tree, oracle = MemoryTree(leaves), InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        oracle.append_entry(leaf)
    for size in range(1, 71):
        assert tree.roots[size] == oracle.get_root(size)
        assert read_range(tree.node, size).root() == tree.roots[size]
    for size in (1, 2, 3, 7, 8, 21, 64, 70):
        for index in range(size):
            # pymerkle counts from one and puts the leaf's own hash first
            expected = oracle.prove_inclusion(index + 1, size).serialize()["path"][1:]
            assert [step.hex() for step in inclusion_path(tree.node, index, size)] == expected


def test_every_proof_of_a_growing_tree_holds_and_no_other_place_does():
    tree = MemoryTree([bytes([n]) for n in range(33)])
    for size in range(1, 34):
        for index in range(size):
            path = inclusion_path(tree.node, index, size)
            places = [
                at
                for at in range(-1, size + 2)
                if verify_inclusion(tree.nodes[0, index], at, size, path, tree.roots[size])
            ]
            assert places == [index]
        for old in range(1, size + 1):
            path = consistency_path(tree.node, old, size)
            assert verify_consistency(old, size, tree.roots[old], tree.roots[size], path)
            assert not verify_consistency(old, size, tree.roots[old - 1], tree.roots[size], path)
    assert not verify_consistency(0, 5, EMPTY_ROOT, tree.roots[5], [])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_changed_proof_proves_nothing(data):
    size = data.draw(st.integers(2, 40))
    tree = MemoryTree([bytes([n]) for n in range(size)])
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))

    def mutate(path):
        kind = data.draw(st.sampled_from(["bit", "drop", "repeat", "append", "front"]))
        at = data.draw(st.integers(0, len(path) - 1))
        if kind == "bit":
            bit = data.draw(st.integers(0, 255))
            changed = int.from_bytes(path[at], "big") ^ (1 << bit)
            return [*path[:at], changed.to_bytes(32, "big"), *path[at + 1 :]]
        extra = data.draw(st.sampled_from(tree.roots))
        return {
            "drop": path[:at] + path[at + 1 :],
            "repeat": [*path[:at], path[at], *path[at:]],
            "append": [*path, extra],
            "front": [extra, *path],
        }[kind]

    root = tree.roots[size]
    inclusion = mutate(inclusion_path(tree.node, index, size))
    assert not verify_inclusion(tree.nodes[0, index], index, size, inclusion, root)
    consistency = mutate(consistency_path(tree.node, old, size))
    assert not verify_consistency(old, size, tree.roots[old], root, consistency)


def test_the_example_of_the_signed_note_specification_verifies():
    import base64

    name, key_hash, key = [
        "example.com/foo",
        "530d903a",
        "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ]
    blob = base64.b64decode(
        "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    )
    public = base64.b64decode(key)[1:].hex()
    assert note_key_hash(name, public).hex() == key_hash == blob[:4].hex()
    verify_note("This is an example message.\n", public, blob[4:])
    with pytest.raises(IntegrityError):
        verify_note("This is an example message!\n", public, blob[4:])


def test_no_bit_of_a_checkpoint_is_free():
    note = sign_checkpoint(Checkpoint(ORIGIN, 5, leaf_hash(b"x")), KEYS.ledger)
    publics = [KEYS.gate.public, KEYS.ledger.public]
    assert verify_checkpoint(note, publics).checkpoint == Checkpoint(ORIGIN, 5, leaf_hash(b"x"))
    data = note.encode()
    for position in range(len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(IntegrityError):
            verify_checkpoint(text, publics)
    for longer in (note + "\n", note + note.splitlines()[-1] + "\n", "\n" + note, note[:-1]):
        with pytest.raises(IntegrityError):
            verify_checkpoint(longer, publics)
    with pytest.raises(IntegrityError, match="trusted ledger keys"):
        verify_checkpoint(note, [KEYS.gate.public])
    with pytest.raises(InputError, match="cannot name"):
        sign_checkpoint(Checkpoint("two words", 0, EMPTY_ROOT), KEYS.ledger)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def open_ledger(path, signer=KEYS.ledger, origin=ORIGIN):
    return Ledger(path, origin, signer)


def fill(path, count=11, text="entry"):
    with open_ledger(path) as ledger:
        ledger.append_all([("note", {"n": n, "text": text}) for n in range(count)])


def audit(path):
    return verify_ledger(path, checkpoint_path(path), ROOT)


def edit(path, *statements):
    """Change the database behind the ledger's back, as somebody with the file could."""
    with sqlite3.connect(path) as db:
        names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(*statement)
    db.close()


def test_what_is_appended_can_be_proven_against_the_signed_checkpoint(path):
    with open_ledger(path) as ledger:
        note_of_empty = ledger.checkpoint()
        assert parse_checkpoint(note_of_empty).checkpoint == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
        assert [ledger.append("note", {"n": n}) for n in range(3)] == [0, 1, 2]
        old = verify_checkpoint(ledger.checkpoint(), [KEYS.ledger.public]).checkpoint
        assert ledger.append_all([("other", {"n": n}) for n in range(10)]) == list(range(3, 13))
        new = verify_checkpoint(ledger.checkpoint(), [KEYS.ledger.public]).checkpoint
        assert (old.size, new.size, len(ledger)) == (3, 13, 13)
        for entry in ledger.entries():
            leaf = leaf_of(entry.kind, json.dumps(entry.body, separators=(",", ":")))
            path_of = ledger.inclusion(entry.index)
            assert verify_inclusion(leaf, entry.index, 13, path_of, new.root)
            if entry.index < 3:
                proof = ledger.inclusion(entry.index, size=3)
                assert verify_inclusion(leaf, entry.index, 3, proof, old.root)
            assert ledger.find(entry.kind, entry.body) == entry.index
        assert verify_consistency(3, 13, old.root, new.root, ledger.consistency(3))
        assert ledger.find("note", {"n": 99}) is None
        assert [e.index for e in ledger.entries(start=2, kind="note")] == [2]
        with pytest.raises(IndexError):
            ledger.entry(13)
        with pytest.raises(IndexError):
            ledger.inclusion(0, size=14)
    with open_ledger(path) as again:
        assert again.checkpoint() == checkpoint_path(path).read_text()
        assert again.append("note", {"n": 13}) == 13
    report = audit(path)
    assert (report.ok, report.entries, report.checkpoint_size) == (True, 14, 14)


def test_a_batch_is_appended_whole_or_not_at_all(path):
    with open_ledger(path) as ledger:
        with pytest.raises(IntegrityError, match="canonical"):
            ledger.append_all([("note", {"x": 1}), ("note", {"x": float("nan")})])
        with pytest.raises(InputError, match="kind"):
            ledger.append_all([("note", {"x": 1}), ("", {"x": 2})])
        assert len(ledger) == 0
        ledger.append("note", {})
    assert audit(path).ok


def test_the_tables_refuse_updates_and_deletions(path):
    fill(path)
    db = sqlite3.connect(path)
    for statement in (
        "UPDATE entries SET kind = 'x'",
        'DELETE FROM entries WHERE "index" = 3',
        "UPDATE nodes SET level = 9",
        "DELETE FROM nodes",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            db.execute(statement)
    db.close()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(index=st.integers(0, 10), data=st.data())
def test_one_flipped_bit_of_an_entry_is_found_and_named(path, index, data):
    if not path.exists():
        fill(path)
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    shutil.copy(checkpoint_path(path), checkpoint_path(copy))
    with sqlite3.connect(copy) as db:
        (body,) = db.execute('SELECT body FROM entries WHERE "index" = ?', (index,)).fetchone()
    db.close()
    bit = data.draw(st.integers(0, len(body) * 8 - 1))
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    edit(copy, ('UPDATE entries SET body = ? WHERE "index" = ?', (bytes(changed), index)))
    assert f"entry {index} " in audit(copy).failures[0]
    with pytest.raises(IntegrityError, match=f"entry {index} "):
        open_ledger(copy)


def test_an_entry_rewritten_with_its_hash_is_found(path):
    fill(path)
    body = '{"n":4,"text":"other"}'
    change = 'UPDATE entries SET body = ?, leaf_hash = ? WHERE "index" = 4'
    edit(path, (change, (body.encode(), leaf_of("note", body))))
    assert audit(path).failures[0] == "the hash kept over entries 4 to 5 is wrong"
    with pytest.raises(IntegrityError, match="entries 4 to 5"):
        open_ledger(path)


def test_a_lost_entry_and_a_lost_hash_are_named(path):
    fill(path)
    spare = path.with_name("spare.db")
    shutil.copy(path, spare)
    shutil.copy(checkpoint_path(path), checkpoint_path(spare))
    edit(path, ('DELETE FROM entries WHERE "index" = 6',))
    assert audit(path).failures[0] == "entry 6 is missing"
    edit(spare, ('DELETE FROM nodes WHERE level = 2 AND "index" = 1',))
    assert audit(spare).failures == ("the hash kept over entries 4 to 7 is lost",)
    for file in (path, spare):
        with pytest.raises(IntegrityError):
            open_ledger(file)


def test_a_ledger_put_back_from_an_old_copy_is_refused(path):
    fill(path, 5)
    old = path.with_name("old.db")
    shutil.copy(path, old)
    with open_ledger(path) as ledger:
        ledger.append("note", {"late": True})
    shutil.copy(old, path)
    assert "fewer than the 6" in audit(path).failures[0]
    with pytest.raises(IntegrityError, match="old copy"):
        open_ledger(path)


def test_a_ledger_cut_at_its_end_is_refused(path):
    fill(path, 8)
    edit(
        path,
        ('DELETE FROM entries WHERE "index" = 7',),
        ('DELETE FROM nodes WHERE ("index" + 1) << level > 7',),
    )
    with pytest.raises(IntegrityError, match="fewer than the 8"):
        open_ledger(path)


def test_a_fork_of_the_same_or_greater_length_is_refused(path, tmp_path):
    fill(path, 6)
    for count in (6, 9):
        (tmp_path / str(count)).mkdir()
        fork = tmp_path / str(count) / "fork.db"
        fill(fork, count, text="another story")
        shutil.copy(checkpoint_path(path), checkpoint_path(fork))
        assert "rewritten or forked" in audit(fork).failures[0]
        with pytest.raises(IntegrityError, match="rewritten or forked"):
            open_ledger(fork)


def test_a_ledger_without_its_checkpoint_or_a_checkpoint_without_its_ledger_is_refused(path):
    fill(path)
    note = checkpoint_path(path).read_text()
    checkpoint_path(path).unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        open_ledger(path)
    assert not audit(path).ok
    checkpoint_path(path).write_text(note)
    path.unlink()
    with pytest.raises(IntegrityError, match="is gone"):
        open_ledger(path)
    assert not path.exists()
    with pytest.raises(InputError, match="no ledger"):
        audit(path)


def test_another_key_or_another_name_is_refused(path):
    fill(path)
    with pytest.raises(IntegrityError, match="signed the checkpoint"):
        open_ledger(path, signer=lab_signer("ledger"))
    with pytest.raises(IntegrityError, match="belongs to"):
        open_ledger(path, origin="pilothouse.example/other")
    forged = sign_checkpoint(Checkpoint(ORIGIN, 1, leaf_hash(b"")), KEYS.service)
    checkpoint_path(path).write_text(forged)
    assert "trusted ledger keys" in audit(path).failures[0]


def test_a_crash_between_commit_and_checkpoint_is_survived_and_said(path, caplog):
    fill(path, 5)
    note = checkpoint_path(path).read_text()
    with open_ledger(path) as ledger:
        ledger.append("note", {"late": True})
    checkpoint_path(path).write_text(note)
    report = audit(path)
    assert (report.ok, report.entries, report.checkpoint_size) == (True, 6, 5)
    with open_ledger(path) as ledger:
        assert "after its last signed checkpoint" in caplog.text
        assert ledger.append("note", {}) == 6
    assert audit(path).checkpoint_size == 7


def test_a_file_that_is_no_ledger_is_refused(path):
    path.write_bytes(b"not a database, but long enough to be read as one" * 100)
    with pytest.raises(InputError, match="not a ledger"):
        open_ledger(path)


def test_threads_append_one_after_the_other(path):
    with open_ledger(path) as ledger:
        places = []

        def work(name):
            places.extend(ledger.append("note", {"by": name, "n": n}) for n in range(8))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(places) == list(range(32))
    report = audit(path)
    assert (report.ok, report.entries, report.checkpoint_size) == (True, 32, 32)


def _append_some(path, name):
    with open_ledger(path) as ledger:
        for n in range(8):
            ledger.append("note", {"by": name, "n": n})


def test_processes_take_turns(path):
    fill(path, 1)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_some, args=(path, k)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    report = audit(path)
    assert (report.ok, report.entries, report.checkpoint_size) == (True, 25, 25)
