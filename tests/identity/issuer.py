"""An issuer of JWTs on Python's standard library and the openssl program: what the
tests use where a whole OpenID provider would be too much."""

import base64
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

_DIGEST = ["-sha256"]
_PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]


def _text(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _openssl(*arguments, stdin=b""):
    run = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True)
    if run.returncode != 0:
        raise AssertionError(f"openssl {arguments}: {run.stderr.decode()}")
    return run.stdout


def _numbers(der):
    """The INTEGERs of a DER sequence."""
    at, found = 0, []
    while at < len(der):
        kind, size = der[at], der[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(der[at:at + count], "big")
            at += count
        if kind == 0x02:
            found.append(int.from_bytes(der[at:at + size], "big"))
        if kind != 0x30:  # Into a sequence, over all else.
            at += size
    return found


class Key:
    """A private key for one algorithm: RS256, PS256 or ES256."""

    def __init__(self, directory, kid, algorithm="RS256"):
        self.kid, self.algorithm = kid, algorithm
        self._file = os.path.join(directory, f"{kid}-{algorithm}-{id(self)}.pem")
        kind = (["EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ES256"
                else ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        _openssl("genpkey", "-algorithm", *kind, "-out", self._file)
        os.chmod(self._file, 0o600)

    def jwk(self):
        public = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        der = _openssl("pkey", "-in", self._file, "-pubout", "-outform", "DER")
        if self.algorithm == "ES256":
            x, y = der[-64:-32], der[-32:]  # The end is 04, x, y.
            return {**public, "kty": "EC", "crv": "P-256", "x": _text(x), "y": _text(y)}
        modulus, exponent = _numbers(_openssl(
            "rsa", "-in", self._file, "-RSAPublicKey_out", "-outform", "DER"))
        return {**public, "kty": "RSA", "n": _text(modulus.to_bytes(256, "big")),
                "e": _text(exponent.to_bytes(3, "big"))}

    def sign(self, claims, **header):
        header = {"alg": self.algorithm, "kid": self.kid, "typ": "at+jwt", **header}
        text = ".".join(_text(json.dumps(part).encode()) for part in (header, claims))
        options = _PSS if self.algorithm == "PS256" else []
        signature = _openssl("dgst", *_DIGEST, "-sign", self._file, *options,
                             stdin=text.encode())
        if self.algorithm == "ES256":
            signature = b"".join(each.to_bytes(32, "big") for each in _numbers(signature))
        return f"{text}.{_text(signature)}"


class Issuer:
    """Publishes its keys over HTTPS, at `port`, from start() to stop(). `keys` may be
    replaced at any time, and `jwks_url`, where its discovery says that they are. `host` is
    what it calls itself."""

    def __init__(self, lab, port, name="issuer", host=None):
        self.port = port
        self.issuer = f"https://{host or '127.0.0.1'}:{port}"
        self.jwks_url = self.issuer + "/jwks"
        self.keys = [Key(lab.directory, f"{name}-first")]
        self.fetches = 0
        self._lab = lab
        self._certificate = lab.ca.issue(
            name, f"DNS:{host}" if host else "IP:127.0.0.1")
        self._server = None

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                documents = {
                    "/.well-known/openid-configuration": {
                        "issuer": issuer.issuer, "jwks_uri": issuer.jwks_url,
                        "response_types_supported": ["token"],
                        "subject_types_supported": ["public"],
                        "id_token_signing_alg_values_supported": ["RS256"]},
                    "/jwks": {"keys": [key.jwk() for key in issuer.keys]}}
                document = documents.get(self.path)
                if self.path == "/jwks":
                    issuer.fetches += 1
                body = json.dumps(document).encode()
                self.send_response(200 if document else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificate)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                  do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._lab.callback(self.stop)

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def claims(self, client, audience, seconds=600, **more):
        now = int(time.time())
        # Each is another token, though it be of the same second.
        return {"jti": os.urandom(8).hex(), "iss": self.issuer, "sub": client, "aud": audience,
                "iat": now - 1, "exp": now + seconds, "groups": [f"team-{client}"], **more}
