"""Secrets that are planted, and the search for them in all that a service shows."""

import base64
import os
import urllib.parse

from processes import send


class Canaries:
    """`new(name)` is a secret that is nowhere else. `files` are those where one may be."""

    def __init__(self):
        self._secrets = {}
        self.files = set()

    def new(self, name):
        # Of 18 bytes: its base64 is the same wherever it stands in a text of such.
        secret = f"canary{len(self._secrets):02}{os.urandom(5).hex()}"
        self._secrets[name] = secret
        return secret

    def note(self, name, secret):
        """One that somebody else has made, a token or a key."""
        self._secrets[name] = secret
        return secret

    def _forms(self):
        for name, secret in self._secrets.items():
            raw = secret.encode()
            forms = {"": raw, "base64": base64.b64encode(raw), "hex": raw.hex().encode(),
                     "percent": urllib.parse.quote(secret, safe="").encode(),
                     # The start is as good as the whole.
                     "start": raw[:12]}
            for form, data in forms.items():
                yield f"{name} {form}".strip(), data

    def find(self, data, where):
        """Lines that say which secrets are in `data`."""
        return [f"{where}: has {name}" for name, form in self._forms() if form in data]

    def search_file(self, path):
        with open(path, "rb") as file:
            return self.find(file.read(), path)

    def search_directory(self, directory):
        found = []
        for folder, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(folder, name)
                if path not in self.files and os.path.isfile(path):
                    found += self.search_file(path)
        return found

    def search_process(self, process):
        """Command line and environment, as every user and every child sees them."""
        found = []
        for name in ("cmdline", "environ"):
            found += self.search_file(f"/proc/{process.pid}/{name}")
        return found

    def search_admin(self, name, port):
        """All that the admin listener has, and what it says of what it does not have."""
        found = []
        for target in ("/", "/metrics", "/config", "/healthz", "/readyz", "/debug",
                       "/debug/pprof", "/debug/vars", "/nothing"):
            answer = send(port, target=target)
            found += self.find(answer.body + str(answer.headers).encode(),
                               f"{name} {target}")
        return found
