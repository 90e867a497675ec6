"""Every method of proving who one is, in every trouble: the cells of the table in
docs/security.md, each measured by requests to an ingest-gateway and a query-frontend.

A method is a class: `listeners` are the settings that it needs, prepare() what it needs
in the registry, and there is a function for each column, run in their order.
"""

import base64
import contextlib
import crypt
import http.client
import socket
import ssl
import time

from cells import COLUMNS, HANDSHAKE, Measured, NotApplicable, check
from issuer import Issuer, Key
from processes import Authority, client_tls, claim_ports, sha256

# A binding that ended long ago.
PAST = {"not_after": "2020-01-01T00:00:00Z"}
_NO_AUDIENCE = NotApplicable("says for whom nowhere")


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


class Method:
    """A row of the table."""
    name = ""
    title = ""

    def __init__(self, lab, insula):
        self.lab, self.insula = lab, insula

    def listeners(self):
        """By name. Names begin with that of the method."""
        return {self.name: {}}

    def prepare(self):
        """Before the services start."""

    def status(self, headers=(), listener=None, tls=None, services=None, **more):
        """What a query and a write are answered, which must be the same: a status, 200
        for a write's 204."""
        listener = listener or self.name
        frontend, gateway = services or (self.insula.frontend, self.insula.gateway)
        found = []
        for ask, service in ((self.insula.query, frontend), (self.insula.write, gateway)):
            try:
                answer = ask(listener, headers, tls=tls, service=service, **more)
                found.append((200 if answer.status == 204 else answer.status, answer))
            except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected) as error:
                found.append((HANDSHAKE, error))
        if found[0][0] != found[1][0]:
            raise AssertionError(f"{self.name}: a query and a write differ: {found}")
        return found[0][0]

    def becomes(self, status, headers=(), pause=0.05, **more):
        """Asks until that is the answer, every so many seconds; fails if it does not
        come."""
        deadline = time.monotonic() + 90
        while True:
            try:
                last = self.status(headers, **more)
            except AssertionError as error:  # One service knows, the other not yet.
                last = error
            if last == status:
                return status
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name}: waited for {status}, is {last}")
            time.sleep(pause)

    def measure(self):
        """The cells by column."""
        row = {}
        for column in COLUMNS:
            cell = getattr(self, column.replace(" ", "_"))()
            check(self.name, column, cell)
            row[column] = cell
        return row


class _AsksNobody(Method):
    """Methods where the only provider is the tenant-registry, with its bindings.
    `credential(name)` makes headers."""

    def credential(self, name):
        raise NotImplementedError

    def ask_valid(self, **more):
        return self.status(self.credential("valid"), **more)

    def provider_down(self):
        with self.insula.without_registry() as newcomers:
            return Measured(
                self.ask_valid(),
                (self.ask_valid(services=newcomers), "if the registry was never reached"))

    def slow(self):
        with self.insula.registry.process.paused():
            return Measured(self.ask_valid())


class _OfTheRegistry(_AsksNobody):
    """Methods whose credentials bindings name by a hash."""

    def fact(self, name):
        raise NotImplementedError

    def prepare(self):
        for name, more in (("valid", {}), ("expired", PAST), ("revoked", {}),
                           ("rotated", {})):
            self.insula.bind(f"{self.name}-{name}", self.fact(name), **more)

    def valid(self):
        return Measured(self.status(self.credential("valid")))

    def expired(self):
        return Measured(self.status(self.credential("expired")))

    def wrong_audience(self):
        return _NO_AUDIENCE

    def wrong_key(self):
        return Measured(self.status(self.credential("nobody")))

    def revoked(self):
        before = self.status(self.credential("revoked"))
        if before != 200:
            raise AssertionError(f"{self.name}: {before} before it is revoked")
        del self.insula.objects["Binding", f"{self.name}-revoked"]
        self.insula.publish()
        return Measured(self.becomes(401, self.credential("revoked")))

    def rotated(self):
        self.insula.bind(f"{self.name}-rotated", self.fact("rotated-new"))
        self.insula.publish()
        new = self.becomes(200, self.credential("rotated-new"))
        return Measured(new, (self.becomes(401, self.credential("rotated")), "the old one"))


class Token(_OfTheRegistry):
    name = "token"
    title = "static token"

    def credential(self, name):
        return bearer(f"token-{name}-5d1f3c")

    def fact(self, name):
        return {"token_sha256": sha256(f"token-{name}-5d1f3c")}


class ApiKey(_OfTheRegistry):
    name = "api-key"
    title = "API key"

    def listeners(self):
        return {self.name: {"bearer": False, "api_key_header": "X-API-Key"}}

    def credential(self, name):
        return [("X-API-Key", f"key-{name}-9a77e0")]

    def fact(self, name):
        return {"api_key_sha256": sha256(f"key-{name}-9a77e0")}

    def wrong_audience(self):
        # A token is no key, though it were the same text.
        self.insula.bind("api-key-a-token", {"token_sha256": sha256("key-a-token-9a77e0")})
        self.insula.publish()
        with_token = bearer("key-a-token-9a77e0")
        self.becomes(200, with_token, listener="token")
        return Measured(self.status(self.credential("a-token")))


class Basic(_AsksNobody):
    name = "basic"
    title = "user and password"
    _PASSWORDS = {"valid": "open sesame", "expired": "once upon", "revoked": "see you",
                  "rotated": "the old one"}

    def listeners(self):
        return {self.name: {"bearer": False,
                            "basic": {"password_file": self.lab.path("passwords")}}}

    def _write_passwords(self):
        self.lab.write("passwords", "".join(
            f"{user}:{bcrypt_hash(password)}\n"
            for user, password in self._passwords.items()))

    def prepare(self):
        self._passwords = dict(self._PASSWORDS)
        self._write_passwords()
        for user in (*self._passwords, "newcomer"):
            self.insula.bind(f"basic-{user}", {"basic": {"user": user}},
                             **(PAST if user == "expired" else {}))

    def credential(self, user, password=None):
        text = f"{user}:{password or self._PASSWORDS[user]}"
        return [("Authorization", "Basic " + base64.b64encode(text.encode()).decode())]

    def valid(self):
        return Measured(self.status(self.credential("valid")))

    def expired(self):
        return Measured(self.status(self.credential("expired")))

    def wrong_audience(self):
        return _NO_AUDIENCE

    def wrong_key(self):
        return Measured(self.status(self.credential("valid", "guessed")),
                        (self.status(self.credential("nobody", "guessed")), "unknown user"))

    def revoked(self):
        del self._passwords["revoked"]
        self._passwords["newcomer"] = "let me in"
        self._write_passwords()
        # Shows that the file was read. Who fails too often is not listened to.
        self.becomes(200, self.credential("newcomer", "let me in"), pause=1)
        return Measured(self.status(self.credential("revoked")))

    def rotated(self):
        self._passwords["rotated"] = "the new one"
        self._write_passwords()
        new = self.becomes(200, self.credential("rotated", "the new one"), pause=1)
        return Measured(new, (self.status(self.credential("rotated")), "the old one"))


def bcrypt_hash(password):
    """As htpasswd -B; by libcrypt, which has it on Debian."""
    return crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 10))


class Certificate(_AsksNobody):
    name = "certificate"
    title = "client certificate"
    _URI = "spiffe://example.org/"

    def __init__(self, lab, insula):
        super().__init__(lab, insula)
        self._server = lab.ca.issue("listener", "IP:127.0.0.1")
        self._crl = lab.ca.revoke([])

    def listeners(self):
        return {self.name: {"bearer": False, "client_certificate": True,
                            "tls_cert_file": self._server[0], "tls_key_file": self._server[1],
                            "tls_client_ca_file": self.lab.ca.file,
                            "tls_client_crl_file": self._crl}}

    def prepare(self):
        for name in ("valid", "revoked"):
            self.insula.bind(f"certificate-{name}", {"certificate": {"uri": self._URI + name}})

    def with_certificate(self, name, authority=None, services=None, **more):
        pair = (authority or self.lab.ca).issue(name, f"URI:{self._URI}{name}", **more)
        return self.status(tls=client_tls(self.lab.ca.file, pair), services=services)

    def ask_valid(self, **more):
        return self.with_certificate("valid", **more)

    def valid(self):
        return Measured(self.with_certificate("valid"))

    def expired(self):
        return Measured(self.with_certificate("valid", seconds=-3600))

    def wrong_audience(self):
        return Measured(self.with_certificate("valid", usage="serverAuth"))

    def wrong_key(self):
        other = Authority(self.lab.directory, "other-ca")
        return Measured(self.with_certificate("valid", other),
                        (self.with_certificate("nobody"), "signed, and no binding names it"))

    def revoked(self):
        del self.insula.objects["Binding", "certificate-revoked"]
        self.insula.publish()
        tls = client_tls(self.lab.ca.file,
                         self.lab.ca.issue("revoked", f"URI:{self._URI}revoked"))
        unbound = self.becomes(403, tls=tls)
        listed = self.lab.ca.issue("listed", f"URI:{self._URI}valid")
        tls = client_tls(self.lab.ca.file, listed)
        before = self.status(tls=tls)
        if before != 200:
            raise AssertionError(f"{self.name}: {before} before the CRL lists it")
        self.lab.ca.revoke([listed])
        return Measured(unbound, (self.becomes(HANDSHAKE, tls=tls), "by a CRL"))

    def rotated(self):
        old = self.with_certificate("valid")
        return Measured(self.with_certificate("valid", seconds=7200),
                        (old, "the old one, until it expires"))


class TrustedHeader(_AsksNobody):
    name = "header"
    title = "trusted header"
    _PROXY = "spiffe://example.org/proxy"

    def __init__(self, lab, insula):
        super().__init__(lab, insula)
        self._server = lab.ca.issue("header-listener", "IP:127.0.0.1")

    def listeners(self):
        trusted = {"bearer": False, "trusted_header": "X-Scope-OrgID"}
        return {
            self.name: {**trusted, "trusted_addresses": ["127.0.0.1"]},
            "header-tls": {**trusted, "trusted_addresses": [], "trusted_names": [self._PROXY],
                           "tls_cert_file": self._server[0], "tls_key_file": self._server[1],
                           "tls_client_ca_file": self.lab.ca.file}}

    def prepare(self):
        self.insula.put("Tenant", "leaving", {"enforced_labels": {"namespace": "leaving"},
                                              "upstream_id": "store"})

    def _by_proxy(self, name, uri, tenant="red", **more):
        tls = client_tls(self.lab.ca.file, self.lab.ca.issue(name, f"URI:{uri}", **more))
        return self.status([("X-Scope-OrgID", tenant)], listener="header-tls", tls=tls)

    def valid(self):
        return Measured(self.status([("X-Scope-OrgID", "red")]),
                        (self._by_proxy("proxy", self._PROXY), "a proxy with a certificate"))

    def expired(self):
        return Measured(self._by_proxy("expired-proxy", self._PROXY, seconds=-3600))

    def wrong_audience(self):
        return _NO_AUDIENCE

    def wrong_key(self):
        return Measured(
            self.status([("X-Scope-OrgID", "red")], source="127.0.0.2"),
            (self._by_proxy("stranger", "spiffe://example.org/stranger"),
             "another certificate"))

    def revoked(self):
        spec = self.insula.objects["Tenant", "leaving"]
        self.insula.put("Tenant", "leaving", {**spec, "state": "STATE_SUSPENDED"})
        self.insula.publish()
        return Measured(self.becomes(403, [("X-Scope-OrgID", "leaving")]))

    def credential(self, _):
        return [("X-Scope-OrgID", "red")]

    def rotated(self):
        return Measured(self._by_proxy("new-proxy", self._PROXY, seconds=7200))


class _Jwt(Method):
    """JWTs of whatever issuer: `token(name, **what)` makes one of client `name`."""
    name = "jwt"
    title = "JWT of an OIDC issuer"
    AUDIENCES = ["https://insula.example/api"]

    def issuer_settings(self, issuer):
        return {"issuer": issuer, "audiences": self.AUDIENCES, "claims": ["sub", "groups"],
                "ca_file": self.lab.ca.file, "leeway": "0s"}

    def listeners(self):
        down, slow = claim_ports(2)
        # Who connects waits for a handshake that nobody begins.
        self.lab.enter_context(
            socket.create_server(("127.0.0.1", slow), backlog=64))
        self._unreachable = {"down": f"https://127.0.0.1:{down}",
                             "slow": f"https://127.0.0.1:{slow}"}
        found = {self.name: {"bearer": False, "jwt": [self.issuer_settings(self.issuer())]}}
        for name, url in self._unreachable.items():
            found[f"jwt-{name}"] = {"bearer": False, "jwt": [self.issuer_settings(url)]}
        return found

    def bind_jwt(self, name, claim, value, **more):
        self.insula.bind(name, {"jwt": {"issuer": self.issuer(), "claim": claim,
                                        "value": value}}, **more)

    def prepare(self):
        self.bind_jwt("jwt-red", "groups", "team-red")
        self.bind_jwt("jwt-leaver", "sub", "leaver")

    def valid(self):
        return Measured(self.status(bearer(self.token("red"))))

    def revoked(self):
        token = self.token("leaver", algorithm="ES256")
        del self.insula.objects["Binding", "jwt-leaver"]
        self.insula.publish()
        return Measured(self.becomes(403, bearer(token)))

    def _unknown_keys(self, name):
        token = self.key_of_nobody.sign({
            "iss": self._unreachable[name], "sub": "red", "aud": self.AUDIENCES[0],
            "iat": int(time.time()), "exp": int(time.time()) + 600, "groups": ["team-red"]})
        return self.status(bearer(token), listener=f"jwt-{name}")

    @property
    def key_of_nobody(self):
        return Key(self.lab.directory, "nobody")

    def provider_down(self):
        fresh = self.token("red")
        with self.stopped():
            known = self.status(bearer(fresh))
        return Measured(self._unknown_keys("down"), (known, "with the keys it had"))

    def slow(self):
        fresh = self.token("red")
        with self.slowed():
            known = self.status(bearer(fresh))
        return Measured(self._unknown_keys("slow"), (known, "with the keys it had"))


class Jwt(_Jwt):
    """An issuer of our own: no packages needed."""

    def __init__(self, lab, insula):
        super().__init__(lab, insula)
        self._issuer = Issuer(lab, claim_ports(1)[0])
        self._issuer.keys += [Key(lab.directory, f"issuer-{algorithm}", algorithm)
                              for algorithm in ("PS256", "ES256")]
        self._issuer.start()

    def issuer(self):
        return self._issuer.issuer

    def token(self, client, algorithm="RS256", **more):
        key = next(key for key in self._issuer.keys if key.algorithm == algorithm)
        audience = more.pop("audience", self.AUDIENCES[0])
        return key.sign(self._issuer.claims(client, audience, **more))

    @contextlib.contextmanager
    def stopped(self):
        self._issuer.stop()
        try:
            yield
        finally:
            self._issuer.start()

    @contextlib.contextmanager
    def slowed(self):
        with self.stopped(), socket.create_server(("127.0.0.1", self._issuer.port)):
            yield

    def valid(self):
        cell = super().valid()
        for algorithm in ("PS256", "ES256"):
            status = self.status(bearer(self.token("red", algorithm)))
            if status != 200:
                raise AssertionError(f"{algorithm}: {status}")
        return cell

    def expired(self):
        return Measured(self.status(bearer(self.token("red", seconds=-5))))

    def wrong_audience(self):
        elsewhere = self.token("red", audience="https://elsewhere.example/api")
        return Measured(self.status(bearer(elsewhere)))

    def wrong_key(self):
        forged = Key(self.lab.directory, self._issuer.keys[0].kid)
        claims = self._issuer.claims("red", self.AUDIENCES[0])
        return Measured(self.status(bearer(forged.sign(claims))),
                        (self.status(bearer(self.key_of_nobody.sign(claims))),
                         "a key that is not published"))

    def rotated(self):
        # The last search for an unknown key was for that of nobody: the next may follow
        # after a while only.
        old = self.token("red")
        self._issuer.keys = [Key(self.lab.directory, "second")]
        new = self.becomes(200, bearer(self.token("red")))
        return Measured(new, (self.status(bearer(old)), "a key that is not published any more"))
