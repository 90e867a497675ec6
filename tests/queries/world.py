"""What the queries are about: series of tenants in one Prometheus, and of each tenant in one
of its own."""

import random

START = 1_700_000_000
SECONDS = 1200
METRICS = ("a", "a", "b_total", "b_total", "c", "h_bucket", "gone")
PODS = ("p1", "p2", "p3")
CODES = ("200", "404", "500", "503")
CANARY = "canary5c1e"
# All that blue's samples are; no answer has these digits by chance.
SECRET = 902107774321


def make_series():
    """[(labels, {time: value})] of red, blue and green. Blue's have the names and pods of
    red's, a canary in a label, and others whose names are canaries."""
    numbers = random.Random(11)
    series = []
    for namespace in ("red", "blue", "green"):
        for name in ("a", "b_total", "c", "h_bucket"):
            for pod in PODS:
                for code in CODES:
                    if numbers.random() < 0.25:
                        continue
                    for bound in (("0.1", "1", "+Inf") if name == "h_bucket" else ("", )):
                        labels = {"__name__": name, "namespace": namespace, "pod": pod,
                                  "code": code, "le": bound}
                        if namespace == "blue":
                            labels["owner"] = CANARY
                        series.append((labels, _samples(numbers, namespace)))
        if namespace == "blue":
            series += [({"__name__": f"{CANARY}_total", "namespace": "blue", CANARY: "x"},
                        _samples(numbers, "blue")),
                       ({"__name__": "alone", "namespace": "blue", "pod": CANARY},
                        _samples(numbers, "blue"))]
    return [({name: value for name, value in labels.items() if value}, samples)
            for labels, samples in series]


def _samples(numbers, namespace):
    samples, value = {}, numbers.randrange(1, 1000)
    first = numbers.choice([0, 0, 0, 400])
    for second in range(numbers.randrange(15), SECONDS, 15):
        value += numbers.randrange(50)
        if numbers.random() < 0.03:
            value = numbers.randrange(10)
        if second >= first and numbers.random() > 0.05:
            samples[START + second] = SECRET if namespace == "blue" else value
    return samples


def open_metrics(series, unit=1):
    """In text, with times in so many parts of a second."""
    lines = []
    for labels, samples in series:
        pairs = ",".join(f'{name}="{value}"' for name, value in labels.items()
                         if name != "__name__")
        lines += [f"{labels['__name__']}{{{pairs}}} {value} {at * unit}{'.000' if unit == 1 else ''}"
                  for at, value in samples.items()]
    return "\n".join(lines) + "\n# EOF\n"


def visible_to_green(labels):
    """By its own label and by GRANTS["green"]."""
    name, namespace = labels["__name__"], labels["namespace"]
    return (namespace == "green"
            or (namespace == "red" and labels.get("code", "").startswith("5"))
            or (namespace == "red" and name == "b_total" and labels.get("pod") != "p1")
            or (namespace == "blue" and name == "c" and labels.get("pod") == "p2"))


def visible_to_amber(labels):
    """By GRANTS["amber"]; it has no series of its own. `le` keeps those of red apart without
    their names, nothing those of blue, of which each is granted by another one."""
    name, namespace = labels["__name__"], labels["namespace"]
    pod, code = labels.get("pod"), labels.get("code", "")
    return ((namespace == "red" and name in ("a", "h_bucket") and pod in ("p1", "p2"))
            or (namespace == "red" and name in ("a", "h_bucket") and code in ("404", "503"))
            or (namespace == "blue" and name in ("b_total", "c") and pod == "p3"
                and code == "200"))


# Who reads more than its own series, and which. Neither names nor labels keep apart what two of
# amber's of one source select.
READERS = {"green": visible_to_green, "amber": visible_to_amber}
GRANTS = {
    "green": [("red", '{code=~"5.."}'), ("red", 'b_total{pod!="p1"}'), ("blue", 'c{pod="p2"}')],
    "amber": [("red", '{__name__=~"a|h_.*",pod=~"p[12]"}'),
              ("red", '{__name__=~"a|.*_bucket",code=~"404|503"}'),
              ("blue", '{__name__=~"b_.*",pod="p3",code="200"}'),
              ("blue", '{__name__=~"c|x",pod="p3",code=~"20."}')]}


# Protobuf and snappy, as remote read speaks them.


def _varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _take_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def _field(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def read_request(matchers):
    """A prometheus.ReadRequest; `matchers` are (type, name, value)."""
    query = b"\x08" + _varint(START * 1000) + b"\x10" + _varint((START + SECONDS) * 1000)
    for kind, name, value in matchers:
        query += _field(3, b"\x08" + _varint(kind) + _field(2, name.encode()) +
                        _field(3, value.encode()))
    body = _field(1, query)
    block = _varint(len(body))
    for at in range(0, len(body), 60):  # Nothing but literals.
        part = body[at:at + 60]
        block += bytes([(len(part) - 1) << 2]) + part
    return block


def unsnappy(block):
    """What a block of snappy holds."""
    size, at = _take_varint(block, 0)
    out = bytearray()
    while at < len(block):
        tag = block[at]
        at += 1
        kind, length = tag & 3, (tag >> 2) + 1
        if kind == 0:
            if length > 60:
                more = length - 60
                length = int.from_bytes(block[at:at + more], "little") + 1
                at += more
            out += block[at:at + length]
            at += length
            continue
        if kind == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | block[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            offset = int.from_bytes(block[at:at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    if len(out) != size:
        raise ValueError(f"a block of {len(out)} bytes that says it has {size}")
    return bytes(out)
