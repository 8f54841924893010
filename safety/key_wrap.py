"""A private key under a passphrase: scrypt stretches it, AES-256-GCM seals the 32 secret bytes.

PKCS #8 as common libraries write it stretches with about two thousand rounds of PBKDF2, too few
for a passphrase that a person can remember. Sources: RFC 7914 (scrypt), NIST SP 800-38D (GCM).
"""

import os
from typing import Literal

from pydantic import Field

from graph.errors import IntegrityError
from graph.record import Record

SALT_BYTES = 16
NONCE_BYTES = 12


class Scrypt(Record):
    """The one accepted cost: 32 MiB and about a tenth of a second for each guess."""

    name: Literal["scrypt"] = "scrypt"
    n: Literal[32768] = 32768
    r: Literal[8] = 8
    p: Literal[1] = 1
    salt: str = Field(pattern=r"^[0-9a-f]{32}$")


class Sealed(Record):
    """What stands in the file instead of the secret (hex)."""

    kdf: Scrypt
    cipher: Literal["aes-256-gcm"] = "aes-256-gcm"
    nonce: str = Field(pattern=r"^[0-9a-f]{24}$")
    ciphertext: str = Field(pattern=r"^[0-9a-f]{96}$", description="32 bytes and the 16 of the tag")


def seal(secret: bytes, passphrase: str, header: bytes) -> Sealed:
    """Seal `secret`; `header` is authenticated with it, so the file's open part cannot change."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    kdf = Scrypt(salt=os.urandom(SALT_BYTES).hex())
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(_stretch(passphrase, kdf)).encrypt(nonce, secret, header)
    return Sealed(kdf=kdf, nonce=nonce.hex(), ciphertext=sealed.hex())


def unseal(sealed: Sealed, passphrase: str, header: bytes) -> bytes:
    """The secret. Raises IntegrityError for a wrong passphrase or an altered file."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = _stretch(passphrase, sealed.kdf)
    try:
        return AESGCM(key).decrypt(
            bytes.fromhex(sealed.nonce), bytes.fromhex(sealed.ciphertext), header
        )
    except InvalidTag as error:
        raise IntegrityError(
            "the passphrase is wrong, or the key file was altered",
            "type it again; if it stays wrong, restore the key file from its backup",
        ) from error


def _stretch(passphrase: str, kdf: Scrypt) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt as Stretcher

    stretcher = Stretcher(salt=bytes.fromhex(kdf.salt), length=32, n=kdf.n, r=kdf.r, p=kdf.p)
    return stretcher.derive(passphrase.encode("utf-8"))
