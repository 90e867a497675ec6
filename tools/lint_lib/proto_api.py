"""proto_api > protos/api.json

What the .proto files promise to clients: the numbers, names and types of fields
and enum values, the requests and responses of methods. protos/api.json has that of
the last release, and tools/lint finds what the tree no longer keeps of it. It is
written anew with each release, and at no other time.
"""

import json
import os
import subprocess
import sys

API = "protos/api.json"
_NOT_FOR_CLIENTS = ("protos/insula/rpc/", "protos/prometheus/")

# Of google/protobuf/descriptor.proto.
_TYPES = ("double float int64 uint64 int32 fixed64 fixed32 bool string group message "
          "bytes uint32 enum sfixed32 sfixed64 sint32 sint64").split()
_LABELS = {1: "", 2: "required ", 3: "repeated "}


def _varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _parse(data):
    """The fields of a serialized message: {number: [value, ...]}."""
    found, at = {}, 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
        elif tag & 7 == 2:
            size, at = _varint(data, at)
            value, at = data[at:at + size], at + size
        else:  # Fixed ones; descriptors have none that matter.
            size = 8 if tag & 7 == 1 else 4
            value, at = data[at:at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def _text(message, number):
    return message.get(number, [b""])[0].decode()


def _field(field):
    """A field as text, and whether it is one that has a presence of its own."""
    kind = _TYPES[field[5][0] - 1]
    if kind in ("message", "enum", "group"):
        kind = _text(field, 6).lstrip(".")
    presence = "optional " if field.get(17) == [1] else ""
    return f"{presence}{_LABELS[field[4][0]]}{kind} {_text(field, 1)}"


def _add_enum(enum, scope, api):
    values = map(_parse, enum.get(2, []))
    # Zero is left out on the wire, negative numbers are 64 bits long.
    api["enums"][f"{scope}.{_text(enum, 1)}"] = {
        str(value.get(2, [0])[0]): _text(value, 1) for value in values}


def _add_message(message, scope, api):
    name = f"{scope}.{_text(message, 1)}"
    fields = map(_parse, message.get(2, []))
    api["messages"][name] = {str(field[3][0]): _field(field) for field in fields}
    for nested in map(_parse, message.get(3, [])):
        _add_message(nested, name, api)
    for enum in map(_parse, message.get(4, [])):
        _add_enum(enum, name, api)


def _add_service(service, scope, api):
    for method in map(_parse, service.get(2, [])):
        sides = [("stream " if method.get(streams) == [1] else "") +
                 _text(method, number).lstrip(".")
                 for number, streams in ((2, 5), (3, 6))]
        name = f"{scope}.{_text(service, 1)}.{_text(method, 1)}"
        api["methods"][name] = " returns ".join(sides)


def read(root, paths):
    """What the .proto files `paths`, below `root`/protos, promise."""
    files = [os.path.relpath(path, "protos") for path in paths
             if path.endswith(".proto") and path.startswith("protos/") and
             not path.startswith(_NOT_FOR_CLIENTS)]
    api = {"messages": {}, "enums": {}, "methods": {}}
    if not files:
        return api
    run = subprocess.run(["protoc", "--proto_path=protos",
                          "--descriptor_set_out=/dev/stdout", *files],
                         cwd=root, capture_output=True, check=False)
    if run.returncode != 0:
        raise ValueError(run.stderr.decode().strip())
    for file in map(_parse, _parse(run.stdout).get(1, [])):
        package = _text(file, 2)
        for message in map(_parse, file.get(4, [])):
            _add_message(message, package, api)
        for enum in map(_parse, file.get(5, [])):
            _add_enum(enum, package, api)
        for service in map(_parse, file.get(6, [])):
            _add_service(service, package, api)
    return api


def broken_promises(released, present):
    """What `present` does not keep of `released`, a sentence each."""
    for group, part in (("messages", "field"), ("enums", "value")):
        for name, members in released[group].items():
            if name not in present[group]:
                yield f"{name} is gone"
                continue
            for number, member in members.items():
                now = present[group][name].get(number)
                if now is None:
                    yield f"{name} has lost {part} {number}, {member}"
                elif now != member:
                    yield f"{part} {number} of {name} was {member}, is {now}"
    for name, sides in released["methods"].items():
        now = present["methods"].get(name)
        if now is None:
            yield f"method {name} is gone"
        elif now != sides:
            yield f"method {name} was {sides}, is {now}"


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    listed = subprocess.run(["git", "ls-files", "protos"], cwd=root,
                            capture_output=True, text=True, check=True).stdout.split()
    json.dump(read(root, listed), sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    main()
