"""TCP ports for the servers that the demo and the tests start."""

import random
import socket

_LOWEST = 15000
_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"
# A claim is a name of this network namespace, and the kernel lets go of it when
# the process ends.
_CLAIM = "\0insula-port-{}"
_claims = []


def _free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def claim_ports(count):
    """Ports of the loopback that nobody listens on, and that are this process' own until it
    ends: a server that is stopped finds its port again.

    The kernel hands none of them out, neither to a connection nor to a server that listens
    on port 0, and no other process is given them by this function or by e2e::ClaimPort(),
    which does the same.
    """
    with open(_RANGE, encoding="ascii") as file:
        end = int(file.read().split()[0])
    ports = []
    for port in random.sample(range(_LOWEST, end), end - _LOWEST):
        if len(ports) == count:
            break
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(_CLAIM.format(port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        if _free(port):
            ports.append(port)
    if len(ports) < count:
        raise OSError(f"no free port from {_LOWEST} to {end}: lower servers, or raise the first "
                      f"number of {_RANGE}")
    return ports
