"""nginx and haproxy of Debian in front of a listener, each in several moods."""

import os
import shutil
import socket

from processes import CannotRun, claim_ports


def check():
    for program in ("nginx", "haproxy"):
        if not _find(program):
            raise CannotRun(f"there is no {program}: tools/setup --identity")


def _find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Proxy:
    """`ports` are those that it listens on, by mood."""

    def __init__(self, lab, name, moods):
        self.ports = dict(zip(moods, claim_ports(len(moods))))
        self._lab, self._name = lab, name

    def _start(self, command):
        process = self._lab.start(self._name, command)
        for port in self.ports.values():
            process.wait_for(f"port {port}", lambda port=port: _connects(port))


class Nginx(Proxy):
    """Moods, {name: lines of its `location`}. All pass odd header names on, which nginx by
    itself drops."""

    def __init__(self, lab, moods):
        check()
        super().__init__(lab, "nginx", moods)
        servers = "".join(f"""
  server {{
    listen 127.0.0.1:{self.ports[mood]};
    underscores_in_headers on;
    ignore_invalid_headers off;
    location / {{
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      {lines}
    }}
  }}""" for mood, lines in moods.items())
        temporary = "".join(f"  {kind}_temp_path {lab.path('nginx-' + kind)};\n" for kind in
                            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        config = lab.write("nginx.conf", f"""
daemon off;
{user}
worker_processes 1;
pid {lab.path("nginx.pid")};
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
{temporary}{servers}
}}
""")
        self._start([_find("nginx"), "-p", lab.directory, "-e", "stderr", "-c", config])


class Haproxy(Proxy):
    """Moods, {name: (lines of the frontend, the line of the server)}."""

    def __init__(self, lab, moods):
        check()
        super().__init__(lab, "haproxy", moods)
        parts = "".join(f"""
frontend {mood}
  bind 127.0.0.1:{self.ports[mood]}
  default_backend {mood}
  {front}
backend {mood}
  http-reuse always
  server insula {server}
""" for mood, (front, server) in moods.items())
        config = lab.write("haproxy.cfg", f"""
global
  maxconn 256
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
{parts}""")
        self._start([_find("haproxy"), "-db", "-f", config])
