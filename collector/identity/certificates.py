"""Keys and certificates (RFC 5280): an authority's own, and the one that the collector serves with. EC P-256 throughout.

Times are Unix seconds. A certificate is valid from two days before it was made: agents' clocks may be wrong by as much.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SKEW_SECONDS = 2 * 86_400
_SIGNING = {"key_cert_sign": True, "crl_sign": True}
_SERVING = {"digital_signature": True}


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def made(self) -> float:
        """When it was made."""
        return self.certificate.not_valid_before_utc.timestamp() + SKEW_SECONDS

    @property
    def expires(self) -> float:
        """When it ends."""
        return self.certificate.not_valid_after_utc.timestamp()

    @property
    def certificate_pem(self) -> str:
        """The certificate in PEM."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> str:
        """The key in PEM (PKCS 8), not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def __repr__(self) -> str:
        """The subject, and nothing of the key."""
        return f"Pair({self.certificate.subject.rfc4514_string()})"


def pem_of(certificate: x509.Certificate) -> str:
    """A certificate in PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def authority_pair(*, now: float, seconds: float) -> Pair:
    """A new authority, which is its own, for so many seconds."""
    key = generate_private_key(SECP256R1())
    # A name of its own for each, so that nobody looks for the issuer of one certificate in another authority.
    name = _name(f"netmatrix authority {datetime.fromtimestamp(now, UTC):%Y-%m-%d} {x509.random_serial_number():040x}"[:64])
    builder = _builder(name, name, key, now, now + seconds)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(**_SIGNING), critical=True)
    return Pair(builder.sign(key, SHA256()), key)


def server_pair(authority: Pair, names: Iterable[str], addresses: Iterable[str], *, now: float, seconds: float) -> Pair:
    """A certificate for a server of these names and addresses, which ends with its authority at the latest."""
    names, key = tuple(names), generate_private_key(SECP256R1())
    issuer = authority.certificate
    builder = _builder(_name(names[0]), issuer.subject, key, now, min(now + seconds, authority.expires))
    alternatives = [x509.DNSName(name) for name in names] + [x509.IPAddress(ip_address(one)) for one in addresses]
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(**_SERVING), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(alternatives), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return Pair(builder.sign(authority.key, SHA256()), key)


def read_certificates(pem: str) -> tuple[x509.Certificate, ...]:
    """Certificates of authorities in PEM, one after the other; raises ValueError where one is something else."""
    certificates = tuple(x509.load_pem_x509_certificates(pem.encode()))
    for one in certificates:
        try:
            if not one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                raise ValueError("it is not the certificate of an authority")
        except x509.ExtensionNotFound:
            raise ValueError("it is not the certificate of an authority") from None
    return certificates


def read_authority(certificate_pem: str, key_pem: str) -> Pair:
    """An authority's certificate and key in PEM; raises ValueError, with half a sentence, where they are none."""
    try:
        (certificate,) = read_certificates(certificate_pem)
        key = load_pem_private_key(key_pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("are not one authority's certificate and its key in PEM") from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("are not a pair of certificate and EC key")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        raise ValueError("are not of an authority that is its own") from None
    return Pair(certificate, key)


def _name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "netmatrix"), x509.NameAttribute(NameOID.COMMON_NAME, text[:64])]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, now: float, until: float
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder(issuer, subject, public, x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now, UTC) - timedelta(seconds=SKEW_SECONDS))
        .not_valid_after(datetime.fromtimestamp(until, UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(**used: bool) -> x509.KeyUsage:
    words = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**dict.fromkeys(words, False) | used)
