"""The row of Keystone, with a real one."""

from cells import Measured
from keystone import Keystone
from matrix import Method

PASSWORDS = {"alice": "alice-secret", "bob": "bob-secret", "insula": "insula-secret"}


def set_up(keystone):
    """Projects red and blue with a member each, and a service user."""
    projects = {name: keystone.create_project(name) for name in ("red", "blue", "service")}
    for user, project, role in (("alice", "red", "member"), ("bob", "blue", "member"),
                                ("insula", "service", "service")):
        keystone.grant(keystone.create_user(user, PASSWORDS[user]), projects[project], role)
    return projects


class KeystoneRow(Method):
    name = "keystone"
    title = "token of Keystone"

    def __init__(self, lab, insula):
        super().__init__(lab, insula)
        self.keystone = Keystone(lab)
        self.projects = set_up(self.keystone)
        self._password_file = lab.write("keystone-password", PASSWORDS["insula"] + "\n")

    def listeners(self):
        return {self.name: {"bearer": False, "keystone": {
            "auth_url": self.keystone.url, "user_name": "insula", "project_name": "service",
            "password_file": self._password_file, "recheck_interval": "2s",
            "timeout": "3s"}}}

    def prepare(self):
        self.insula.bind("keystone-red", {"keystone": {
            "auth_url": self.keystone.url, "project_id": self.projects["red"]}})

    def _token(self, user="alice", project="red"):
        return self.keystone.token(user, PASSWORDS[user], project)

    def _ask(self, token, header="X-Auth-Token"):
        value = f"Bearer {token}" if header == "Authorization" else token
        return self.status([(header, value)])

    def valid(self):
        token = self._token()
        return Measured(self._ask(token),
                        (self._ask(self._token(), "Authorization"), "as a bearer token"))

    def expired(self):
        token = self.keystone.brief_token("alice", PASSWORDS["alice"], "red")
        self.keystone.process.wait_for("the end of a token",
                                       lambda: not self.keystone.is_valid(token))
        return Measured(self._ask(token))

    def wrong_audience(self):
        other = self._ask(self._token("bob", "blue"))
        unscoped = self._ask(self._token("alice", None))
        credential = self.keystone.application_credential(
            "alice", PASSWORDS["alice"], "red", "only-servers", access_rules=[
                {"path": "/v2.1/servers", "method": "GET", "service": "compute"}])
        limited = self._ask(self.keystone.token_of_credential(*credential))
        return Measured(other, (unscoped, "of no project"),
                        (limited, "of an application credential with access rules"))

    def wrong_key(self):
        token = self._token()
        forged = token[:-8] + ("A" * 8 if token[-8:] != "A" * 8 else "B" * 8)
        return Measured(self._ask(forged))

    def revoked(self):
        token = self._token()
        before = self._ask(token)
        if before != 200:
            raise AssertionError(f"{before} before it is revoked")
        self.keystone.revoke(token)
        return Measured(self.becomes(401, [("X-Auth-Token", token)]))

    def provider_down(self):
        fresh = self._token()
        self.keystone.stop()
        try:
            return Measured(self._ask(fresh))
        finally:
            self.keystone.start()

    def slow(self):
        fresh = self._token()
        with self.keystone.process.paused():
            return Measured(self._ask(fresh))

    def rotated(self):
        old = self._token()
        self.keystone.rotate_keys()
        return Measured(self._ask(self._token()), (self._ask(old), "the old one"))
