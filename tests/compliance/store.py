"""A store that takes remote write as it is told to, and remembers what it got."""

import http.server
import threading
import time

from wire import V2_TYPE, read_v1, read_v2, unsnappy


class Got:
    def __init__(self, headers, body):
        self.at = time.monotonic()
        self.headers = headers
        self.body = body
        self.is_v2 = headers.get("Content-Type") == V2_TYPE
        self.message = unsnappy(body)
        self.series = (read_v2 if self.is_v2 else read_v1)(self.message)


class Store:
    """`answers` are taken one by one, then all is well: (status, headers)."""

    def __init__(self):
        self._lock = threading.Lock()
        self._got = []
        self.answers = []
        # Whether it understands 2.0: else it says 415, or what `ignorant` says.
        self.takes_v2 = True
        self.ignorant = 415
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = store._take(Got(self.headers, body))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _take(self, got):
        with self._lock:
            self._got.append(got)
            if got.is_v2 and not self.takes_v2:
                return self.ignorant, []
            status, headers = self.answers.pop(0) if self.answers else (204, [])
        if got.is_v2 and status == 204:
            prefix = "X-Prometheus-Remote-Write-"
            counts = {"Samples": 1, "Exemplars": 2, "Histograms": 3}
            headers = headers + [
                (f"{prefix}{what}-Written", str(sum(len(each[index]) for each in got.series)))
                for what, index in counts.items()]
        return status, headers

    def take(self):
        """What came since the last time."""
        with self._lock:
            got, self._got = self._got, []
        return got

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
