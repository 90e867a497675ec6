"""A certified OpenID provider: npm oidc-provider, over HTTPS, on Node."""

import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.parse

from processes import TOP, CannotRun, client_tls, claim_ports, send

_HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.join(TOP, "build", "identity", "oidc")
AUDIENCE = "https://insula.example/api"
OTHER_AUDIENCE = "https://elsewhere.example/api"
SHORT = "https://insula.example/short"
ALGORITHMS = ("RS256", "PS256", "ES256")


def check():
    if not shutil.which("node"):
        raise CannotRun("there is no node: tools/setup --identity")
    if not os.path.isdir(os.path.join(MODULES, "node_modules", "oidc-provider")):
        raise CannotRun(f"there is no oidc-provider below {MODULES}: tools/setup --identity")


def make_keys(tag):
    """Private keys as a JWKS, one for each algorithm; `tag` is part of their ids."""
    script = """
      const {generateKeyPairSync} = require('node:crypto');
      const key = (kind, options, alg) => ({
        ...generateKeyPairSync(kind, options).privateKey.export({format: 'jwk'}),
        alg, use: 'sig', kid: `${process.argv[1]}-${alg}`});
      console.log(JSON.stringify({keys: [
        key('rsa', {modulusLength: 2048}, 'RS256'),
        key('rsa', {modulusLength: 2048}, 'PS256'),
        key('ec', {namedCurve: 'P-256'}, 'ES256')]}));"""
    run = subprocess.run(["node", "-e", script, tag], capture_output=True, text=True,
                         check=True)
    return json.loads(run.stdout)


class OidcProvider:
    """Issues access tokens to `clients`, by client credentials (RFC 6749 §4.4) with a
    resource indicator (RFC 8707), as signed JWTs. `groups` become a claim."""

    def __init__(self, lab, clients, groups):
        check()
        self._lab = lab
        self._clients = clients
        self.port = claim_ports(1)[0]
        self.issuer = f"https://127.0.0.1:{self.port}"
        cert, key = lab.ca.issue("oidc", "IP:127.0.0.1")
        self._tls = client_tls(lab.ca.file)
        self.use_keys(make_keys("first"))
        resources = {f"{url}/{algorithm}": {"ttl": ttl, "algorithm": algorithm}
                     for algorithm in ALGORITHMS
                     for url, ttl in ((AUDIENCE, 600), (OTHER_AUDIENCE, 600), (SHORT, 1))}
        # Beside its packages, where Node looks for them.
        shutil.copy(os.path.join(_HERE, "oidc", "provider.mjs"), MODULES)
        self._settings = lab.write("oidc.json", json.dumps({
            "issuer": self.issuer, "address": "127.0.0.1", "port": self.port,
            "cert": cert, "key": key, "jwks": lab.path("oidc-keys.json"),
            "clients": [{"id": name, "secret": secret} for name, secret in clients.items()],
            "groups": groups, "resources": resources}))
        self.process = None
        self.start()

    def use_keys(self, keys):
        """From the next start on, or the next rotate()."""
        self.keys = keys
        self._lab.write("oidc-keys.json", json.dumps(keys))

    def start(self):
        self.process = self._lab.start(
            "oidc", ["node", os.path.join(MODULES, "provider.mjs"), self._settings])
        self.process.wait_for("the discovery document", self._answers)

    def _answers(self):
        try:
            return self.get("/.well-known/openid-configuration").status == 200
        except OSError:
            return False

    def get(self, target):
        return send(self.port, target=target, headers=[("Accept", "application/json")],
                    tls=self._tls)

    def rotate(self, keys):
        """Publishes `keys`, and signs with them."""
        self.use_keys(keys)
        self.process.send_signal(signal.SIGHUP)
        wanted = {each["kid"] for each in keys["keys"]}

        def published():
            found = json.loads(self.get("/jwks").body)["keys"]
            return {each["kid"] for each in found} == wanted

        self.process.wait_for("the new keys", published)

    def token(self, client, resource=AUDIENCE, algorithm="RS256"):
        secret = base64.b64encode(f"{client}:{self._clients[client]}".encode()).decode()
        answer = send(
            self.port, "POST", "/token",
            [("Authorization", f"Basic {secret}"),
             ("Content-Type", "application/x-www-form-urlencoded")],
            urllib.parse.urlencode({"grant_type": "client_credentials", "scope": "read",
                                    "resource": f"{resource}/{algorithm}"}).encode(),
            tls=self._tls)
        if answer.status != 200:
            raise AssertionError(f"no token for {client}: {answer}")
        return json.loads(answer.body)["access_token"]


def claims_of(token):
    """Header and payload of a JWT."""
    return tuple(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
                 for part in token.split(".")[:2])
