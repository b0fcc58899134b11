"""Certificates for scenarios, made by the openssl command when a test asks for them.

    authority = Authority(tmp_path)
    server = authority.issue(["feed.example", "*.feed.example", "127.0.0.1"])
    launch("echo", sets=[f"echo.tls_cert={server.cert}", f"echo.tls_key={server.key}"])
    curl("--cacert", authority.ca(), ...)

Keys are on P-256, which takes milliseconds to make. Names that are addresses become addresses in the
certificate.
"""

import datetime
import ipaddress
import subprocess
from pathlib import Path
from typing import NamedTuple

CONFIG = """
[ca]
default_ca = authority
[authority]
database = {place}/index.txt
serial = {place}/serial
new_certs_dir = {place}
certificate = {place}/ca.pem
private_key = {place}/ca.key
default_md = sha256
unique_subject = no
policy = anything
[anything]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
"""


class Pair(NamedTuple):
    """Paths of one certificate and its key."""

    cert: Path
    key: Path


def openssl(*arguments):
    done = subprocess.run(
        ["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr}"
    return done.stdout


def new_key(path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    return path


def alternative(name):
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def moment(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime("%Y%m%d%H%M%SZ")


class Authority:
    """One that signs certificates; several may stand side by side."""

    def __init__(self, place, name="crew test authority"):
        self.place = Path(place) / name.replace(" ", "-")
        self.place.mkdir(parents=True)
        self.count = 0
        self.config = self.place / "openssl.cnf"
        self.config.write_text(CONFIG.format(place=self.place, name=name))
        (self.place / "index.txt").touch()
        (self.place / "serial").write_text("1000\n")
        new_key(self.place / "ca.key")
        openssl(
            *("req", "-x509", "-new", "-config", self.config, "-extensions", "root"),
            *("-key", self.place / "ca.key", "-days", 3650, "-out", self.ca()),
        )

    def ca(self):
        """The path of its own certificate: what who trusts it is given."""
        return self.place / "ca.pem"

    def issue(self, names, days=90, client=False):
        """A new certificate for these names; valid for `days` from now, negative: expired then."""
        self.count += 1
        stem = self.place / f"leaf{self.count}"
        key, request, extensions = (stem.with_suffix(end) for end in (".key", ".csr", ".ext"))
        cert = stem.with_suffix(".pem")
        new_key(key)
        openssl(
            *("req", "-new", "-config", self.config, "-key", key),
            *("-subj", f"/CN={names[0]}", "-out", request),
        )
        extensions.write_text(
            "basicConstraints = CA:FALSE\n"
            "keyUsage = digitalSignature\n"
            f"extendedKeyUsage = {'clientAuth' if client else 'serverAuth'}\n"
            f"subjectAltName = {','.join(map(alternative, names))}\n"
        )
        openssl(
            *("ca", "-batch", "-notext", "-config", self.config, "-in", request, "-out", cert),
            *("-startdate", moment(min(days, 0) - 1), "-enddate", moment(days)),
            *("-extfile", extensions),
        )
        return Pair(cert, key)

    def ocsp(self, pair, days=7):
        """The path of an OCSP answer about that certificate, DER."""
        answer = pair.cert.with_suffix(".ocsp")
        openssl(
            *("ocsp", "-index", self.place / "index.txt", "-rsigner", self.ca()),
            *("-rkey", self.place / "ca.key", "-CA", self.ca(), "-issuer", self.ca()),
            *("-cert", pair.cert, "-respout", answer, "-ndays", days, "-resp_no_certs"),
        )
        return answer
