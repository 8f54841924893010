"""Signed checkpoints of a log: C2SP tlog-checkpoint in a C2SP signed-note.

    <origin>
    <size>
    <root hash, base64>

    — <key name> <base64 of key id (4 bytes) and Ed25519 signature (64 bytes)>

The key's name is the origin. Sources: c2sp.org/tlog-checkpoint, c2sp.org/signed-note. Stricter
than the specification: no extension lines and exactly one signature, so no byte is free.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from graph.errors import InputError, IntegrityError
from safety.keys import Signer, verifying_key
from safety.merkle import HASH_BYTES
from safety.signing import strict_b64decode, strict_b64encode
from safety.trust_root import TrustRoot

ED25519_NOTE = b"\x01"  # signed-note's signature type for plain Ed25519
MAX_CHECKPOINT_CHARS = 1000
_ORIGIN = re.compile(r"[!-*,-~]{1,200}", re.ASCII)  # printable, no blank and no plus (signed-note)
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A log's state: how many entries, and the hash over all of them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The note's text, which is what is signed."""
        return f"{self.origin}\n{self.size}\n{strict_b64encode(self.root)}\n"


@dataclass(frozen=True)
class VerifiedCheckpoint:
    """A checkpoint and the key (public bytes in hex) that has signed it."""

    checkpoint: Checkpoint
    public: str


@dataclass(frozen=True)
class SignedCheckpoint:
    """A parsed note; nothing is verified yet."""

    checkpoint: Checkpoint
    key_hash: bytes
    signature: bytes


def note_key_hash(name: str, public: str) -> bytes:
    """signed-note's 4-byte key id of an Ed25519 key (public bytes in hex)."""
    data = name.encode() + b"\n" + ED25519_NOTE + bytes.fromhex(public)
    return hashlib.sha256(data).digest()[:4]


def check_origin(origin: str) -> str:
    """`origin` itself. Raises InputError when it cannot name a log in a note."""
    if not _ORIGIN.fullmatch(origin):
        raise InputError(
            f"{origin!r} cannot name a ledger", "printable ASCII without blanks and plus signs"
        )
    return origin


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> str:
    """The signed note."""
    text = checkpoint.text()
    key_hash = note_key_hash(check_origin(checkpoint.origin), signer.public)
    blob = strict_b64encode(key_hash + signer.sign(text.encode()))
    return f"{text}\n— {checkpoint.origin} {blob}\n"


def parse_checkpoint(note: str) -> SignedCheckpoint:
    """Take a note apart. Raises IntegrityError unless it is exactly of the form above."""
    lines = note.split("\n")
    if len(note) > MAX_CHECKPOINT_CHARS or len(lines) != 6 or lines[3] or lines[5]:
        raise IntegrityError("the checkpoint is not origin, size, root, blank and one signature")
    origin, size, root_text, _, signature_line, _ = lines
    dash, _, rest = signature_line.partition(" ")
    name, _, blob = rest.partition(" ")
    if not _ORIGIN.fullmatch(origin) or not _SIZE.fullmatch(size):
        raise IntegrityError("the checkpoint's origin or size is malformed")
    if dash != "—" or name != origin:
        raise IntegrityError("the checkpoint's signature line does not name the log's own key")
    root = strict_b64decode(root_text, "the checkpoint's root")
    signed = strict_b64decode(blob, "the checkpoint's signature")
    if len(root) != HASH_BYTES or len(signed) != 4 + 64:
        raise IntegrityError("the checkpoint's root or signature has the wrong length")
    return SignedCheckpoint(Checkpoint(origin, int(size), root), signed[:4], signed[4:])


def verify_checkpoint(note: str, publics: Sequence[str]) -> VerifiedCheckpoint:
    """The checkpoint, if one of the keys `publics` (hex) has signed it. Raises IntegrityError."""
    parsed = parse_checkpoint(note)
    checkpoint = parsed.checkpoint
    for public in publics:
        if note_key_hash(checkpoint.origin, public) == parsed.key_hash:
            verify_note(checkpoint.text(), public, parsed.signature)
            return VerifiedCheckpoint(checkpoint, public)
    raise IntegrityError(
        f"none of the {len(publics)} trusted ledger keys has signed the checkpoint of "
        f"{checkpoint.origin}"
    )


def verify_note(text: str, public: str, signature: bytes) -> None:
    """Raise IntegrityError unless the key `public` (hex) has signed the note's text."""
    from securesystemslib.exceptions import UnverifiedSignatureError
    from securesystemslib.signer import Signature

    key = verifying_key(public)
    try:
        key.verify_signature(Signature(key.keyid, signature.hex()), text.encode("utf-8"))
    except UnverifiedSignatureError as error:
        raise IntegrityError("the checkpoint's signature is wrong") from error


def ledger_keys(root: TrustRoot) -> tuple[str, ...]:
    """Public bytes (hex) of the keys that may sign checkpoints."""
    return tuple(root.public_of(keyid) for keyid in root.keys_for("ledger"))
