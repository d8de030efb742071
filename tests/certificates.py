"""An authority that issues certificates for tests, and the file by which a server takes one."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Pair:
    """A private key and its certificate, in PEM, and files that hold them."""

    key: str
    certificate: str
    key_file: Path
    certificate_file: Path


class Authority:
    """Issues certificates for 127.0.0.1 and for clients; `file` is its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        own = self._signed("authority", self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.text, self.file = own.certificate, own.certificate_file

    def issue(self, name: str, days: int = 1) -> Pair:
        """Makes a key and a certificate that ends in so many days, which may be past."""
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return self._signed(name, ec.generate_private_key(ec.SECP256R1()), address, days)

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType, days: int = 1) -> Pair:
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) if key is not self._key else self._name
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(9)).not_valid_after(now + timedelta(days))
        signed = builder.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        texts = key.private_bytes(*form), signed.public_bytes(serialization.Encoding.PEM)
        files = [self._folder / f"{name}.{kind}" for kind in ("key", "pem")]
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(text)
        return Pair(*(text.decode() for text in texts), *files)


def ssl_config(path: Path, pair: Pair, authority: Authority | None = None) -> Path:
    """Writes TensorFlow Serving's --ssl_config_file; with an authority, clients have to have its certificates."""
    fields = {"server_key": pair.key, "server_cert": pair.certificate}
    lines = [f'{name}: "{text}"'.replace("\n", "\\n") for name, text in fields.items()]
    if authority:
        lines += ['custom_ca: "{}"'.format(authority.text.replace("\n", "\\n")), "client_verify: true"]
    path.write_text("\n".join(lines))
    return path
