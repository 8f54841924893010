"""Ed25519 keys of persons and of machines: made, kept in a file, loaded.

A key's id is securesystemslib's: SHA-256 over the canonical JSON of key type, scheme and public
bytes. It follows from the material alone, so one key cannot go by two ids.
"""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from graph.canonical import canonical_bytes, strict_loads
from graph.errors import InputError, IntegrityError, RefusedError
from graph.record import Record
from safety.key_wrap import Sealed, seal, unseal

FORMAT: Literal["pilothouse/private-key/v1"] = "pilothouse/private-key/v1"
MAX_KEY_FILE_BYTES = 16_384
HEX32 = r"^[0-9a-f]{64}$"


@dataclass(frozen=True)
class Signer:
    """A private key in memory, whose it is, and whether it is a laboratory key.

    `crypto` is securesystemslib's CryptoSigner; it never appears in a repr or a log.
    """

    crypto: Any = field(repr=False)
    person: str
    lab: bool

    @property
    def keyid(self) -> str:
        """Id of the key (64 hex digits)."""
        return str(self.crypto.public_key.keyid)

    @property
    def public(self) -> str:
        """The 32 public bytes in hex."""
        return str(self.crypto.public_key.keyval["public"])

    def sign(self, data: bytes) -> bytes:
        """The 64 bytes of the Ed25519 signature over `data`."""
        return bytes.fromhex(self.crypto.sign(data).signature)


class PublicRecord(Record):
    """A key as the trust root lists it."""

    public: str = Field(pattern=HEX32, description="Ed25519 public bytes in hex")
    person: str = Field(min_length=1, max_length=200)
    lab: bool = False


class _KeyFile(Record):
    format: Literal["pilothouse/private-key/v1"]
    keyid: str = Field(pattern=HEX32)
    public: str = Field(pattern=HEX32)
    person: str
    lab: bool
    sealed: Sealed | None = None
    unsealed_lab_secret: str | None = Field(None, pattern=HEX32)

    def header(self) -> bytes:
        """What the seal authenticates besides the secret."""
        return canonical_bytes(self.model_dump(exclude={"sealed", "unsealed_lab_secret"}))


def public_record(signer: Signer) -> PublicRecord:
    """The public half of `signer`, for the trust root."""
    return PublicRecord(public=signer.public, person=signer.person, lab=signer.lab)


def keyid_of(public: str) -> str:
    """The id that belongs to public bytes in hex. Raises IntegrityError when they are no key."""
    return str(verifying_key(public).keyid)


def verifying_key(public: str) -> Any:
    """securesystemslib's SSlibKey for public bytes in hex, its id included."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)))
    except ValueError as error:
        raise IntegrityError(f"{public!r} is not an Ed25519 public key") from error


def signer_from_secret(secret: bytes, person: str, lab: bool) -> Signer:
    """A signer over 32 secret bytes that the caller vouches for."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

    if not person.strip():
        raise InputError("a key needs the name of the person or machine that it belongs to")
    return Signer(CryptoSigner(Ed25519PrivateKey.from_private_bytes(secret)), person, lab)


def lab_signer(person: str) -> Signer:
    """A fresh laboratory key that lives in memory only."""
    return signer_from_secret(os.urandom(32), person, lab=True)


def generate(path: Path, person: str, passphrase: str | None, *, lab: bool = False) -> Signer:
    """Make a key and keep it in the new file `path` (mode 0600).

    Raises:
        RefusedError: no passphrase for a key that is not a laboratory key.
        InputError: the file exists, the person is blank or the passphrase empty.
    """
    if passphrase is None and not lab:
        raise RefusedError(
            "passphrase", "a key outside the laboratory needs a passphrase", "or make a lab key"
        )
    if passphrase is not None and not passphrase:
        raise InputError("the passphrase is empty")
    secret = os.urandom(32)
    signer = signer_from_secret(secret, person, lab)
    record = _KeyFile(
        format=FORMAT, keyid=signer.keyid, public=signer.public, person=person, lab=lab
    )
    if passphrase is None:
        record = record.model_copy(update={"unsealed_lab_secret": secret.hex()})
    else:
        record = record.model_copy(update={"sealed": seal(secret, passphrase, record.header())})
    _write_new(path, record.model_dump_json(indent=2).encode() + b"\n")
    return signer


def load_signer(path: Path, passphrase: str | None) -> Signer:
    """The signer kept in `path`.

    Raises:
        InputError: no such file, not a key file, or a passphrase is missing.
        RefusedError: others may read the file.
        IntegrityError: wrong passphrase, or the file's parts do not belong together.
    """
    record = _read(path)
    if record.sealed is not None:
        if passphrase is None:
            raise InputError(f"{path} is sealed", "give its passphrase")
        secret = unseal(record.sealed, passphrase, record.header())
    elif record.unsealed_lab_secret is not None and record.lab:
        secret = bytes.fromhex(record.unsealed_lab_secret)
    else:
        raise RefusedError(
            "passphrase", f"{path} holds an open key that is not marked as a laboratory key"
        )
    signer = signer_from_secret(secret, record.person, record.lab)
    if (signer.keyid, signer.public) != (record.keyid, record.public):
        raise IntegrityError(f"{path}: the secret does not belong to the public key beside it")
    return signer


def _read(path: Path) -> _KeyFile:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read the key file {path}: {error.strerror}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RefusedError(
            "permissions",
            f"others may use {path}: its mode is {stat.S_IMODE(mode):04o}, expected 0600",
            f"chmod 600 {path}; if anybody may have read it, make a new key",
        )
    try:
        return _KeyFile.model_validate(strict_loads(data, MAX_KEY_FILE_BYTES))
    except (ValidationError, IntegrityError) as error:
        raise InputError(
            f"{path} is not a private key file of this program", "expected " + FORMAT
        ) from error


def _write_new(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{path} exists", "keys are never overwritten; choose another name") from (
            error
        )
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
