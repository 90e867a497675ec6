"""headers_test BIN_DIR [unittest arguments]

Tricks with the header that names the tenant, straight at a listener and through nginx and
haproxy: what is ambiguous is refused with 400, and nobody gets to another tenant's series.
"""

import json
import os
import socket
import sys
import unittest

sys.dont_write_bytecode = True

from insula import QUERY, Insula  # noqa: E402
from processes import Lab, send, sha256  # noqa: E402
from proxies import Haproxy, Nginx  # noqa: E402

_BIN = ""
_PROXY = "spiffe://example.org/proxy"
_TOKEN = "token-of-red-0d5cb1"

# What a client may send in place of one plain X-Scope-OrgID, and must get 400 for.
_AMBIGUOUS = {
    "two headers": [("X-Scope-OrgID", "red"), ("X-Scope-OrgID", "blue")],
    "twice the same": [("X-Scope-OrgID", "red"), ("X-Scope-OrgID", "red")],
    "two in other cases": [("X-Scope-OrgID", "red"), ("x-scope-orgid", "blue")],
    "a list by comma": [("X-Scope-OrgID", "red,blue")],
    "a list by bar": [("X-Scope-OrgID", "red|blue")],
    "underscores": [("X_Scope_OrgID", "red")],
    "some underscores": [("X-Scope_OrgID", "red")],
    "underscores beside it": [("X-Scope-OrgID", "red"), ("X_Scope_OrgID", "blue")],
    "a path": [("X-Scope-OrgID", "../blue")],
    "a space within": [("X-Scope-OrgID", "re d")],
    "nothing": [("X-Scope-OrgID", "")],
    "too long": [("X-Scope-OrgID", "r" * 151)],
    "not ASCII": [("X-Scope-OrgID", "r\xe9d")],
}

# Bytes that no HTTP library sends. {} is the header that names the tenant.
_OPEN = f"GET {QUERY} HTTP/1.1\r\nHost: insula\r\n"
_QUERY_LINE = _OPEN + "Connection: close\r\n"
_RAW = {
    "a space before the colon": _QUERY_LINE + "X-Scope-OrgID : red\r\n\r\n",
    "a line that goes on": _QUERY_LINE + "X-Scope-OrgID: red\r\n blue\r\n\r\n",
    "a line that begins with a space": _QUERY_LINE + " X-Scope-OrgID: red\r\n\r\n",
    "a bare line feed": _QUERY_LINE + "X-Other: a\nX-Scope-OrgID: red\r\n\r\n",
    "a NUL": _QUERY_LINE + "X-Scope-OrgID: red\0blue\r\n\r\n",
    "two lengths": _QUERY_LINE.replace("GET", "POST") +
                   "X-Scope-OrgID: red\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde",
    "a length and chunks": _QUERY_LINE.replace("GET", "POST") +
                           "X-Scope-OrgID: red\r\nContent-Length: 5\r\n"
                           "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks by another name": _QUERY_LINE.replace("GET", "POST") +
                              "X-Scope-OrgID: red\r\nTransfer-Encoding: xchunked\r\n\r\n"
                              "0\r\n\r\n",
    "a length with a sign": _QUERY_LINE.replace("GET", "POST") +
                            "X-Scope-OrgID: red\r\nContent-Length: +0\r\n\r\n",
    "a line of the PROXY protocol": "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n" + _QUERY_LINE +
                                    "X-Scope-OrgID: red\r\n\r\n",
}


def _raw(port, text, seconds=2):
    """Sends bytes as they are; all that comes back until the end, or silence."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(text.encode("latin-1"))
        found = b""
        try:
            while piece := connection.recv(65536):
                found += piece
        except OSError:
            pass
        return found


def _status(answer):
    line = answer.split(b"\r\n", 1)[0].split(b" ")
    return int(line[1]) if len(line) > 1 and line[1].isdigit() else 0


class HeadersTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        server = cls.lab.ca.issue("listener", "IP:127.0.0.1,DNS:insula.test")
        trusted = {"bearer": False, "trusted_header": "X-Scope-OrgID"}
        cls.insula = Insula(cls.lab, _BIN)
        cls.insula.bind("both", {"token_sha256": sha256(_TOKEN)}, ("red", "blue"))
        cls.insula.start({
            "header": {**trusted, "trusted_addresses": ["127.0.0.1"]},
            "tls": {**trusted, "trusted_addresses": [], "trusted_names": [_PROXY],
                    "tls_cert_file": server[0], "tls_key_file": server[1],
                    "tls_client_ca_file": cls.lab.ca.file},
            "token": {}})
        cls.port = cls.insula.frontend.ports["header"]
        cls._start_proxies()

    @classmethod
    def _start_proxies(cls):
        secure = cls.insula.frontend.ports["tls"]
        plain = f"proxy_pass http://127.0.0.1:{cls.port};"
        names = {"proxy": _PROXY, "stranger": "spiffe://example.org/stranger"}
        pairs = {name: cls.lab.ca.issue(name, f"URI:{uri}") for name, uri in names.items()}
        for name, (cert, key) in pairs.items():
            with open(cert, encoding="utf-8") as first, open(key, encoding="utf-8") as second:
                cls.lab.write(f"{name}.pem", first.read() + second.read())
        sets = "proxy_set_header X-Scope-OrgID red;"

        def with_certificate(name):
            cert, key = pairs[name]
            return (f"proxy_pass https://127.0.0.1:{secure}; {sets} "
                    f"proxy_ssl_certificate {cert}; proxy_ssl_certificate_key {key}; "
                    f"proxy_ssl_trusted_certificate {cls.lab.ca.file}; proxy_ssl_verify on; "
                    "proxy_ssl_name insula.test; proxy_ssl_protocols TLSv1.3;")

        def haproxy_with(name):
            return ("http-request set-header X-Scope-OrgID red",
                    f"127.0.0.1:{secure} ssl verify required ca-file {cls.lab.ca.file} "
                    f"crt {cls.lab.path(name + '.pem')}")

        cls.proxies = {
            "nginx": Nginx(cls.lab, {
                "open": plain, "sets": plain + sets,
                "elsewhere": plain + sets + "proxy_bind 127.0.0.2;",
                "proxy": with_certificate("proxy"), "stranger": with_certificate("stranger")}),
            "haproxy": Haproxy(cls.lab, {
                "open": ("", f"127.0.0.1:{cls.port}"),
                "sets": ("http-request set-header X-Scope-OrgID red",
                         f"127.0.0.1:{cls.port}"),
                "elsewhere": ("http-request set-header X-Scope-OrgID red",
                              f"127.0.0.1:{cls.port} source 127.0.0.2"),
                "speaks-proxy": ("http-request set-header X-Scope-OrgID red",
                                 f"127.0.0.1:{cls.port} send-proxy"),
                "proxy": haproxy_with("proxy"), "stranger": haproxy_with("stranger")})}

    def ask(self, port, headers):
        return send(port, target=QUERY, headers=headers)

    def namespaces(self, answer):
        self.assertEqual(answer.status, 200, answer)
        return {each["metric"]["namespace"]
                for each in json.loads(answer.body)["data"]["result"]}

    def each_proxy(self, mood):
        found = [(name, proxy.ports[mood]) for name, proxy in self.proxies.items()
                 if mood in proxy.ports]
        self.assertTrue(found)
        return found

    def test_a_proxy_says_who_it_is_whatever_the_client_says(self):
        for name, port in self.each_proxy("sets"):
            for mine in ([], [("X-Scope-OrgID", "blue")],
                         [("X-Scope-OrgID", "blue"), ("X-Scope-OrgID", "blue")],
                         [("x-scope-orgid", "red,blue")]):
                self.assertEqual(self.namespaces(self.ask(port, mine)), {"red"}, (name, mine))

    def test_underscores_get_past_a_proxy_and_not_past_the_listener(self):
        for _, port in self.each_proxy("sets"):
            for header in ("X_Scope_OrgID", "X-Scope_OrgID", "x_scope_orgid"):
                answer = self.ask(port, [(header, "blue")])
                self.assertEqual(answer.status, 400, (header, answer))
                self.assertIn(b"must be spelled", answer.body)

    def test_what_is_ambiguous_is_refused(self):
        for trick, headers in _AMBIGUOUS.items():
            with self.subTest(trick=trick):
                answer = self.ask(self.port, headers)
                self.assertEqual(answer.status, 400, answer)

    def test_what_is_ambiguous_is_refused_behind_a_proxy_that_hands_on_everything(self):
        for trick, headers in _AMBIGUOUS.items():
            if trick == "nothing":
                continue  # nginx leaves an empty header out.
            for name, port in self.each_proxy("open"):
                answer = self.ask(port, headers)
                self.assertEqual(answer.status, 400, (name, trick, answer))

    def test_raw_bytes_are_refused(self):
        for trick, text in _RAW.items():
            with self.subTest(trick=trick):
                answer = _raw(self.port, text)
                self.assertEqual(_status(answer), 400, answer[:300])

    def test_raw_bytes_never_reach_another_tenant_through_a_proxy(self):
        for trick, text in _RAW.items():
            for name, port in self.each_proxy("sets"):
                answer = _raw(port, text.replace("red", "blue"))
                self.assertNotIn(b'"blue"', answer, (name, trick))
                self.assertIn(_status(answer), (200, 400, 501), (name, trick, answer[:300]))

    def test_a_second_request_hidden_in_a_body_is_not_answered(self):
        hidden = _OPEN + "X-Scope-OrgID: blue\r\n\r\n"
        chunked = f"{len(hidden):x}\r\n{hidden}\r\n0\r\n\r\n"
        head = _OPEN.replace("GET", "POST").replace(QUERY, "/api/v1/query")
        for frame, body in (("Content-Length: 4\r\nTransfer-Encoding: chunked", chunked),
                            ("Transfer-Encoding: chunked\r\nContent-Length: 6",
                             "0\r\n\r\n" + hidden),
                            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                             "0\r\n\r\n" + hidden),
                            ("Transfer-Encoding:\x0bchunked\r\nContent-Length: 5",
                             "0\r\n\r\n" + hidden)):
            straight = _raw(self.port, f"{head}X-Scope-OrgID: red\r\n{frame}\r\n\r\n{body}")
            self.assertEqual(_status(straight), 400, (frame, straight[:300]))
            self.assertEqual(straight.count(b"HTTP/1.1 "), 1, (frame, straight))
            for name, port in self.each_proxy("sets"):
                answer = _raw(port, f"{head}{frame}\r\n\r\n{body}")
                self.assertNotIn(b'"blue"', answer, (name, frame))

    def test_the_header_counts_only_from_a_listed_address(self):
        answer = send(self.port, target=QUERY, headers=[("X-Scope-OrgID", "red")],
                      source="127.0.0.2")
        self.assertIn(answer.status, (401, 403), answer)
        for name, port in self.each_proxy("elsewhere"):
            answer = self.ask(port, [])
            self.assertIn(answer.status, (401, 403), (name, answer))

    def test_an_address_that_a_client_tells_does_not_count(self):
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP"):
            value = "for=127.0.0.1" if header == "Forwarded" else "127.0.0.1"
            answer = send(self.port, target=QUERY, source="127.0.0.2",
                          headers=[("X-Scope-OrgID", "red"), (header, value)])
            self.assertIn(answer.status, (401, 403), (header, answer))
        for _, port in self.each_proxy("speaks-proxy"):
            self.assertGreaterEqual(self.ask(port, []).status, 400)

    def test_the_header_counts_from_a_proxy_with_the_certificate(self):
        for name, port in self.each_proxy("proxy"):
            self.assertEqual(self.namespaces(self.ask(port, [("X-Scope-OrgID", "blue")])),
                             {"red"}, name)
        for name, port in self.each_proxy("stranger"):
            answer = self.ask(port, [])
            self.assertIn(answer.status, (401, 403), (name, answer))

    def test_the_header_does_not_count_where_no_header_is_trusted(self):
        port = self.insula.frontend.ports["token"]
        self.assertEqual(self.ask(port, [("X-Scope-OrgID", "red")]).status, 401)
        token = ("Authorization", f"Bearer {_TOKEN}")
        # It chooses among the tenants of the token, and the same rules hold.
        self.assertEqual(self.namespaces(self.ask(port, [token, ("X-Scope-OrgID", "red")])),
                         {"red"})
        for trick, headers in _AMBIGUOUS.items():
            with self.subTest(trick=trick):
                answer = self.ask(port, [token, *headers])
                if trick == "a list by bar":  # Both are this token's.
                    self.assertEqual(self.namespaces(answer), {"red", "blue"})
                    continue
                self.assertEqual(answer.status, 400, answer)

    def test_several_credentials_are_refused(self):
        port = self.insula.frontend.ports["token"]
        token = ("Authorization", f"Bearer {_TOKEN}")
        chosen = ("X-Scope-OrgID", "red")
        for more in (token, ("Authorization", "Basic cmVkOnJlZA=="),
                     ("authorization", "Bearer another"), ("Authorization ", "Bearer x")):
            answer = self.ask(port, [token, chosen, more])
            self.assertEqual(answer.status, 400, (more, answer))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    _BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main()
