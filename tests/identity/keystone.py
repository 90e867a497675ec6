"""OpenStack's identity service, Keystone, on SQLite: Debian's python3-keystone, whose
own wsgi server answers on the loopback, one request at a time."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3

from processes import CannotRun, claim_ports, send

_MANAGE = "/usr/bin/keystone-manage"
_SERVER = "/usr/bin/keystone-wsgi-public"
ADMIN_PASSWORD = "keystone-admin"


def check():
    for program in (_MANAGE, _SERVER):
        if not os.path.exists(program):
            raise CannotRun(f"there is no {program}: tools/setup --identity")


class Keystone:
    """A fresh Keystone with its admin. What stands for an object is its id."""

    def __init__(self, lab, region="one"):
        check()
        self._lab = lab
        self.port, self._brief_port = claim_ports(2)
        self.url = f"http://127.0.0.1:{self.port}/v3"
        for name in ("fernet", "credentials"):
            os.makedirs(lab.path("keystone", name), mode=0o700)
        self._config = self._write_config("keystone.conf", 3600)
        self._brief = self._write_config("brief.conf", 2)
        self._manage("db_sync")
        # Keystone leaves reads open; only so they don't stand in the way of writes.
        with contextlib.closing(sqlite3.connect(lab.path("keystone", "keystone.db"))) as db:
            db.execute("PRAGMA journal_mode=WAL")
        self._manage("fernet_setup", "--keystone-user", "root", "--keystone-group", "root")
        self._manage("credential_setup", "--keystone-user", "root", "--keystone-group", "root")
        self._manage("bootstrap", "--bootstrap-password", ADMIN_PASSWORD,
                     "--bootstrap-public-url", self.url, "--bootstrap-region-id", region)
        self.process = None
        self.start()
        self._admin = self.token("admin", ADMIN_PASSWORD, "admin")
        self._roles = {}

    def _write_config(self, name, seconds):
        directory = self._lab.path("keystone")
        return self._lab.write(os.path.join("keystone", name), f"""
[DEFAULT]
log_file = {directory}/{name}.log
[database]
connection = sqlite:///{directory}/keystone.db
[fernet_tokens]
key_repository = {directory}/fernet
max_active_keys = 3
[credential]
key_repository = {directory}/credentials
[token]
provider = fernet
expiration = {seconds}
allow_expired_window = 0
[security_compliance]
lockout_failure_attempts = 20
lockout_duration = 10
""")

    def _manage(self, *arguments):
        self._lab.run(_MANAGE, "--config-file", self._config, *arguments)

    def _serve(self, name, port, config):
        process = self._lab.start(name, [
            "/usr/bin/python3", _SERVER, "--host", "127.0.0.1", "--port", str(port), "--",
            "--config-file", config])

        def answers():
            try:
                return send(port, target="/v3").status == 200
            except OSError:
                return False

        process.wait_for("an answer", answers)
        return process

    def start(self):
        self.process = self._serve("keystone", self.port, self._config)

    def stop(self):
        self.process.stop(signal.SIGKILL)

    def request(self, method, path, body=None, token=None, port=None, headers=()):
        data = b"" if body is None else json.dumps(body).encode()
        answer = send(port or self.port, method, "/v3" + path,
                      [("X-Auth-Token", token or self._admin),
                       ("Content-Type", "application/json"), *headers], data)
        if answer.status not in (200, 201, 204):
            raise AssertionError(f"{method} {path}: {answer}")
        return json.loads(answer.body) if answer.body else None

    def _create(self, kind, body, path=None):
        return self.request("POST", path or f"/{kind}s", {kind: body})[kind]["id"]

    def create_project(self, name):
        return self._create("project", {"name": name, "domain_id": "default"})

    def create_user(self, name, password):
        return self._create("user", {"name": name, "password": password,
                                     "domain_id": "default"})

    def create_role(self, name):
        self._roles[name] = self._create("role", {"name": name})
        return self._roles[name]

    def grant(self, user, project, role):
        if role not in self._roles:
            found = self.request("GET", f"/roles?name={role}")["roles"]
            self._roles[role] = found[0]["id"] if found else self.create_role(role)
        self.request("PUT", f"/projects/{project}/users/{user}/roles/{self._roles[role]}")

    def take_away(self, user, project, role):
        self.request("DELETE",
                     f"/projects/{project}/users/{user}/roles/{self._roles[role]}")

    def create_endpoint(self, kind, name, url, region="one"):
        """What clients find in the catalog under service type `kind`."""
        service = self._create("service", {"type": kind, "name": name})
        return self._create("endpoint", {"service_id": service, "interface": "public",
                                         "url": url, "region_id": region})

    def _log_in(self, methods, scope, port=None):
        auth = {"identity": {"methods": list(methods), **methods}}
        if scope is not None:
            auth["scope"] = scope
        answer = send(port or self.port, "POST", "/v3/auth/tokens",
                      [("Content-Type", "application/json")],
                      json.dumps({"auth": auth}).encode())
        if answer.status != 201:
            raise AssertionError(f"no token: {answer}")
        return answer.headers["X-Subject-Token"]

    def token(self, user, password, project=None, domain_scope=False, port=None):
        """A token of a user, by names of domain Default. Without a project: unscoped, or of
        the domain."""
        domain = {"id": "default"}
        scope = {"domain": domain} if domain_scope else None
        if project is not None:
            scope = {"project": {"name": project, "domain": domain}}
        user = {"name": user, "domain": domain, "password": password}
        return self._log_in({"password": {"user": user}}, scope, port)

    def brief_token(self, user, password, project):
        """One that lives for 2 s: of a second server on the same keys."""
        process = self._serve("keystone-brief", self._brief_port, self._brief)
        try:
            return self.token(user, password, project, port=self._brief_port)
        finally:
            process.stop(signal.SIGKILL)

    def application_credential(self, user, password, project, name, **more):
        """Id and secret; `more` as in the API."""
        token = self.token(user, password, project)
        user_id = self.request("GET", "/auth/tokens", token=token,
                               headers=[("X-Subject-Token", token)])["token"]["user"]["id"]
        made = self.request("POST", f"/users/{user_id}/application_credentials",
                            {"application_credential": {"name": name, **more}}, token)
        made = made["application_credential"]
        return made["id"], made["secret"]

    def token_of_credential(self, credential, secret):
        return self._log_in({"application_credential": {"id": credential,
                                                        "secret": secret}}, None)

    def revoke(self, token):
        self.request("DELETE", "/auth/tokens", headers=[("X-Subject-Token", token)])

    def is_valid(self, token):
        answer = send(self.port, "GET", "/v3/auth/tokens",
                      [("X-Auth-Token", self._admin), ("X-Subject-Token", token)])
        return answer.status == 200

    def rotate_keys(self):
        """The next key signs; what the last one signed stays valid."""
        self._manage("fernet_rotate", "--keystone-user", "root", "--keystone-group", "root")

    def replace_keys(self):
        """All keys are others: what they signed is void."""
        shutil.rmtree(self._lab.path("keystone", "fernet"))
        os.makedirs(self._lab.path("keystone", "fernet"), mode=0o700)
        self._manage("fernet_setup", "--keystone-user", "root", "--keystone-group", "root")
