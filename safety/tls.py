"""A small certificate authority for the one line between the service and the gate.

Not a public PKI: it knows two or three parties, and its key stays where it was made. Names go into
the subject alternative name, which is what the gate reads.
"""

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from graph.errors import InputError

CA_YEARS = 10
LEAF_DAYS = 397  # what browsers accept at most; a reminder to renew
DAY = timedelta(days=1)


class TlsFiles(NamedTuple):
    """Where one party's certificate and key lie, and whom it trusts."""

    ca: Path
    certificate: Path
    key: Path


def make_ca(folder: Path, name: str = "pilothouse") -> Path:
    """Make `ca.pem` and `ca.key` in `folder`; returns the certificate's path.

    Raises:
        InputError: there is one already.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(parents=True, exist_ok=True)
    certificate, key_file = folder / "ca.pem", folder / "ca.key"
    if certificate.exists() or key_file.exists():
        raise InputError(
            f"{folder} has a certificate authority already", "use it, or another folder"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(f"{name} local authority")
    builder = _builder(subject, subject, key.public_key(), timedelta(days=366 * CA_YEARS))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign=False, certify=True), critical=True)
    _write(key_file, _key_bytes(key), 0o600)
    _write(certificate, _sign(builder, key), 0o644)
    return certificate


def issue(folder: Path, name: str, server: bool) -> TlsFiles:
    """Issue `<name>.pem` and `<name>.key` with the authority in `folder`.

    A server's certificate also names localhost and 127.0.0.1; a client's names its role only.

    Raises:
        InputError: there is no authority in `folder`.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca_file = folder / "ca.pem"
    try:
        authority = x509.load_pem_x509_certificate(ca_file.read_bytes())
        ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except OSError as error:
        raise InputError(f"no certificate authority in {folder}", "make_ca makes one") from error
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if server:
        names += [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(_name(name), authority.subject, key.public_key(), LEAF_DAYS * DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True, certify=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    )
    files = TlsFiles(ca_file, folder / f"{name}.pem", folder / f"{name}.key")
    _write(files.key, _key_bytes(key), 0o600)
    _write(files.certificate, _sign(builder, ca_key), 0o644)
    return files


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.3, trusting only our own authority, showing our own certificate."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(files.certificate, files.key)
    return context


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.3, demanding a client certificate of our own authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(files.certificate, files.key)
    return context


def _name(common: str) -> Any:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: Any, issuer: Any, public: Any, lasts: timedelta) -> Any:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, sign: bool, certify: bool) -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: Any, key: Any) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _key_bytes(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write with the final permissions from the first byte on."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
