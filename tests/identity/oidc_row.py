"""The row of JWTs again, with the tokens of a certified provider."""

import contextlib
import signal
import time

from cells import Measured
from issuer import Key
from matrix import _Jwt, bearer
from oidc_provider import (ALGORITHMS, AUDIENCE, OTHER_AUDIENCE, SHORT, OidcProvider,
                           claims_of, make_keys)


class OidcRow(_Jwt):
    AUDIENCES = [f"{url}/{algorithm}" for url in (AUDIENCE, SHORT) for algorithm in ALGORITHMS]

    def __init__(self, lab, insula):
        super().__init__(lab, insula)
        self._provider = OidcProvider(
            lab, {"red": "secret-of-red-74c1", "leaver": "secret-of-leaver-74c1"},
            {"red": ["team-red"]})

    def issuer(self):
        return self._provider.issuer

    def token(self, client, algorithm="RS256", resource=AUDIENCE):
        return self._provider.token(client, resource, algorithm)

    @contextlib.contextmanager
    def stopped(self):
        self._provider.process.stop(signal.SIGKILL)
        try:
            yield
        finally:
            self._provider.start()

    @contextlib.contextmanager
    def slowed(self):
        with self._provider.process.paused():
            yield

    def valid(self):
        found = {self.status(bearer(self.token("red", algorithm)))
                 for algorithm in ALGORITHMS}
        if found != {200}:
            raise AssertionError(f"tokens of {ALGORITHMS}: {found}")
        return Measured(200)

    def expired(self):
        token = self.token("red", resource=SHORT)
        end = claims_of(token)[1]["exp"]
        self._provider.process.wait_for("the end of a token", lambda: time.time() > end)
        return Measured(self.status(bearer(token)))

    def wrong_audience(self):
        return Measured(self.status(bearer(self.token("red", resource=OTHER_AUDIENCE))))

    def wrong_key(self):
        header, claims = claims_of(self.token("red"))
        forged = Key(self.lab.directory, header["kid"]).sign(claims)
        return Measured(self.status(bearer(forged)),
                        (self.status(bearer(self.key_of_nobody.sign(claims))),
                         "a key that is not published"))

    def rotated(self):
        old = self.token("red")
        self._provider.rotate(make_keys("second"))
        new = self.becomes(200, bearer(self.token("red")))
        return Measured(new, (self.status(bearer(old)), "a key that is not published any more"))
