"""Hosts that the services ask, over TLS, and a proxy on the way to them."""

import collections
import http.server
import json
import socket
import ssl
import threading


Request = collections.namedtuple("Request", "command path headers body")


class Host:
    """An HTTPS server of names `names` (as in a certificate) that keeps what it is asked.
    `answer(Request)` gives status, headers and a body, which is sent as JSON."""

    def __init__(self, lab, name, names, answer):
        self.requests, host = [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                size = int(self.headers.get("Content-Length", 0))
                # One handler serves all requests of a connection.
                request = Request(self.command, self.path, self.headers, self.rfile.read(size))
                host.requests.append(request)
                status, headers, body = answer(request)
                data = json.dumps(body).encode()
                self.send_response(status)
                for header in {"Content-Type": "application/json",
                               "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(*header)
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*lab.ca.issue(name, names))
        server.socket = context.wrap_socket(server.socket, server_side=True,
                                            do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lab.callback(server.server_close)
        lab.callback(server.shutdown)

    def paths(self):
        return [request.path.partition("?")[0] for request in self.requests]


class Proxy:
    """Opens tunnels to names that only it knows: {"store.invalid:443": port of the
    loopback}. `asked` is what it was asked for, known or not."""

    def __init__(self, lab):
        self.known, self.asked, proxy = {}, [], self

        class Handler(http.server.BaseHTTPRequestHandler):

            def do_CONNECT(self):
                proxy.asked.append(self.path)
                if self.path not in proxy.known:
                    self.send_error(403)
                    return
                with socket.create_connection(("127.0.0.1", proxy.known[self.path])) as to:
                    self.send_response(200)
                    self.end_headers()
                    back = threading.Thread(target=_pump, args=(to, self.connection))
                    back.start()
                    _pump(self.connection, to)
                    back.join()
                self.close_connection = True

            def do_GET(self):
                proxy.asked.append(self.path)
                self.send_error(403)

            do_POST = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lab.callback(server.server_close)
        lab.callback(server.shutdown)

    def environment(self, base):
        """`base` with this proxy in all variables that name one."""
        return {**base, **{name: self.url for name in
                           ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                            "grpc_proxy")}}


def _pump(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
