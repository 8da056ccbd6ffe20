"""Certificate: one of the console's own, for where none is given.

Takes in a folder and the names by which the console is called, makes key and certificate there
(0600), valid for ten years: who calls it compares the fingerprint once. It runs in a process of its
own, since the console itself needs no cryptography.
"""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
import subprocess
import sys
from pathlib import Path

from edgeface.errors import ConfigError
from edgeface.system.storage import open_regular, write_atomically

_CERTIFICATE, _KEY = "certificate.pem", "key.pem"
_VALID = datetime.timedelta(days=3650)


def own(folder: Path, names: tuple[str, ...]) -> tuple[Path, Path]:
    """The certificate and key in `folder`, made where there are none. ConfigError says why not."""
    found = folder / _CERTIFICATE, folder / _KEY
    if not all(path.exists() for path in found):
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "edgeface.console.certificate", folder, *names],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ConfigError(f"cannot make a certificate in {folder}: {reason}")
    return found


def fingerprint(certificate: Path) -> str:
    """The SHA-256 of a certificate, as browsers show it. ConfigError for a file that is none."""
    try:
        with open(open_regular(certificate), encoding="ascii") as file:
            der = ssl.PEM_cert_to_DER_cert(_first(file.read(1_000_000)))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the certificate {certificate} ({error})") from None
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _first(pem: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    if begin not in pem or end not in pem:
        raise ValueError("it holds no certificate")
    return begin + pem.partition(begin)[2].partition(end)[0] + end + "\n"


def make(folder: Path, names: list[str]) -> None:
    """Make key and certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "EdgeFace console")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_atomically(folder / _KEY, [private])
    write_atomically(folder / _CERTIFICATE, [certificate.public_bytes(serialization.Encoding.PEM)])


def _name(name: str):  # type: ignore[no-untyped-def]
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2:])
