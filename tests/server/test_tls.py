"""Certificates that are none are told before the server listens."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from llamakit.errors import UsageError
from llamakit.server.tls import check_certificate

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    for name in "ab":
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    openssl("ec", "-in", "a.key", "-aes128", "-passout", "pass:secret", "-out", "locked.key")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return folder


def check(files, key, cert):
    check_certificate(str(files / key), str(files / cert))


def test_a_key_and_its_certificate_are_taken(files):
    check(files, "a.key", "a.pem")


@pytest.mark.parametrize(
    "key, cert, message",
    [
        ("none.key", "a.pem", r"--ssl-key-file .*none\.key: No such file"),
        ("a.key", "none.pem", r"--ssl-cert-file .*none\.pem: No such file"),
        ("a.pem", "a.key", r"--ssl-key-file .*a\.pem: there is no private key in it"),
        ("a.key", "b.key", r"--ssl-cert-file .*b\.key: there is no certificate in it"),
        ("a.key", "b.pem", "the certificate is of another key"),
        ("a.key", "broken.pem", r"--ssl-cert-file .*broken\.pem"),
        ("locked.key", "a.pem", r"--ssl-key-file .*locked\.key: it is encrypted"),
    ],
)
def test_what_is_no_pair_is_said(files, key, cert, message):
    with pytest.raises(UsageError, match=message):
        check(files, key, cert)
