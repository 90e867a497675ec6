"""What the tests here know of docker-compose.yml and the files that it mounts."""

import os
import re
import subprocess

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Debian's: others of that name print another form.
DOCKER_COMPOSE = "/usr/bin/docker-compose"
SERVICES = ("tenant-registry", "ingest-gateway", "query-frontend", "rule-sync",
            "federation-pusher")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def load(path):
    """The only document of a YAML file."""
    return yaml.safe_load(read(path))


def compose():
    """docker-compose.yml as docker-compose understands it: variables and merge keys
    resolved, paths absolute."""
    result = subprocess.run([DOCKER_COMPOSE, "config"], cwd=TOP, text=True, check=True,
                            capture_output=True, env={"PATH": os.environ["PATH"]})
    return yaml.safe_load(result.stdout)


def mounts(service):
    """What a container mounts: (source, target, mode) each; a source with a slash is
    a path, another a volume."""
    for text in service.get("volumes", []):
        source, target, mode = text.split(":")
        yield source, target, mode


def mounted(service, path):
    """The file of the tree that a container sees at `path`; None if none."""
    for source, target, _ in mounts(service):
        if source.startswith("/") and (path + "/").startswith(target + "/"):
            return source + path[len(target):]
    return None


def strings(value):
    """All strings in a tree of lists and dicts."""
    if isinstance(value, dict):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif hasattr(value, "__iter__"):
        for each in value:
            yield from strings(each)


def addresses(text_or_tree):
    """The host:port pairs that somebody is told to connect to."""
    for text in strings(text_or_tree):
        match = re.fullmatch(r"(?:https?://)?([a-z][a-z0-9-]*):(\d+)(?:/.*)?", text)
        if match:
            yield match.group(1), int(match.group(2))


def listening(config):
    """The ports on which a service's configuration says to listen, by address."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "listen_address":
                host, _, port = value.rpartition(":")
                yield host, int(port)
            else:
                yield from listening(value)
    elif isinstance(config, list):
        for each in config:
            yield from listening(each)
