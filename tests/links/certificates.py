"""Certificates for TLS among the servers of a cluster, and of somebody who is not of it."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def made_certificate(
    folder: Path, name: str, authority: Authority | None = None, days: float = 1, hosts: Sequence[str] = ()
) -> Authority:
    """`NAME.pem` and `NAME.key`, signed by `authority` or by itself, good for so many days from now and for `hosts`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority[0].subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
    )
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(key if authority is None else authority[1], hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    return certificate, key


def made_certificates(folder: Path) -> Path:
    """Of a cluster (`ca`): node-1 and node-2; of somebody else's (`other-ca`): stranger."""
    authority, other = made_certificate(folder, "ca"), made_certificate(folder, "other-ca")
    made_certificate(folder, "node-1", authority)
    made_certificate(folder, "node-2", authority)
    made_certificate(folder, "stranger", other)
    return folder
