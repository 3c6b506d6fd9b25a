"""The certificate of a server, looked at before it listens."""

from __future__ import annotations

import ssl

from llamakit.errors import UsageError


class Encrypted(Exception):
    """A key that needs a password."""


def check_certificate(key_file: str, cert_file: str) -> None:
    """Raises UsageError for files that cannot be read, or are no pair of a key and its certificate."""
    key, cert = f"--ssl-key-file {key_file}", f"--ssl-cert-file {cert_file}"
    for option, path, kind in ((key, key_file, b"PRIVATE KEY-----"), (cert, cert_file, b"CERTIFICATE-----")):
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError as error:
            raise UsageError(f"{option}: {error.strerror}") from None
        if b"-----BEGIN " not in text or kind not in text:
            what = "private key" if path == key_file else "certificate"
            raise UsageError(f"{option}: there is no {what} in it, in PEM")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file, password=refuse)
    except Encrypted:
        raise UsageError(
            f"{key}: it is encrypted; `openssl pkey -in FILE -out FILE` writes it without a password"
        ) from None
    except ssl.SSLError as error:
        reason = "the certificate is of another key" if "MISMATCH" in (error.reason or "") else error.reason or error
        raise UsageError(f"{key} {cert}: {reason}") from None


def refuse() -> str:
    raise Encrypted
