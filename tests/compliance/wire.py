"""Remote write 1.0 and 2.0 on the wire, written and read without any library, so that it
shares nothing with what it tests."""

import struct

V1_TYPE = "application/x-protobuf"
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
STALE = 0x7FF0000000000002


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number):
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def integer(field, number):
    return varint(field << 3) + varint(number)


def signed(field, number):
    return varint(field << 3) + zigzag(number)


def double(field, value):
    """`value` is a float, or an int that is the bits of one."""
    bits = value if isinstance(value, int) else struct.unpack("<Q", struct.pack("<d", value))[0]
    return varint(field << 3 | 1) + struct.pack("<Q", bits)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def snappy(body):
    """A snappy block that repeats nothing."""
    out = varint(len(body))
    for start in range(0, len(body), 60):
        piece = body[start:start + 60]
        out += bytes([(len(piece) - 1) << 2]) + piece
    return out


def unsnappy(block):
    position = 0

    def number(size):
        nonlocal position
        position += size
        return int.from_bytes(block[position - size:position], "little")

    length = shift = 0
    while True:
        byte = number(1)
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    out = bytearray()
    while position < len(block):
        tag = number(1)
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                size = number(size - 59)
            out += block[position:position + size + 1]
            position += size + 1
            continue
        if tag & 3 == 1:
            size, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | number(1)
        else:
            size, offset = (tag >> 2) + 1, number(2 if tag & 3 == 2 else 4)
        for _ in range(size):
            out.append(out[-offset])
    assert len(out) == length
    return bytes(out)


def fields(message):
    """(number, value) of each field: an int, bytes of a fixed width, or bytes."""
    position = 0

    def read():
        nonlocal position
        number = shift = 0
        while True:
            byte = message[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while position < len(message):
        tag = read()
        if tag & 7 == 0:
            yield tag >> 3, read()
            continue
        size = {1: 8, 5: 4}.get(tag & 7) or read()
        yield tag >> 3, message[position:position + size]
        position += size


def all_of(message, number):
    return [value for field, value in fields(message) if field == number]


def _packed(numbers):
    return b"".join(varint(each) for each in numbers)


def sample(value, timestamp, start=None):
    """A Sample message; `start` in 2.0 only."""
    message = double(1, value) + integer(2, timestamp)
    return message if start is None else message + integer(3, start)


def histogram(timestamp, count=3, deltas=(1, 1), schema=3, start=None, float_count=None):
    """A Histogram message of one span; good if the arguments fit each other."""
    message = integer(1, count) if float_count is None else double(2, float_count)
    message += double(3, 2.5) + signed(4, schema) + double(5, 1e-9)
    message += data(11, signed(1, 0) + integer(2, len(deltas)))
    message += data(12, b"".join(zigzag(each) for each in deltas)) + integer(15, timestamp)
    return message if start is None else message + integer(17, start)


class V1:
    """A WriteRequest."""

    def __init__(self):
        self.body = b""

    def add(self, labels, samples=(), histograms=(), more=b""):
        series = b"".join(data(1, data(1, name) + data(2, value)) for name, value in labels)
        series += b"".join(data(2, each) for each in samples)
        series += b"".join(data(4, each) for each in histograms)
        self.body += data(1, series + more)
        return self

    def metadata(self, family, kind, text):
        self.body += data(3, integer(1, kind) + data(2, family) + data(4, text))
        return self

    def encoded(self):
        return snappy(self.body)


class V2:
    """A Request."""

    def __init__(self, first=""):
        self.symbols = [first]
        self.series = b""

    def symbol(self, text):
        if text not in self.symbols:
            self.symbols.append(text)
        return self.symbols.index(text)

    def refs(self, labels):
        return [self.symbol(text) for pair in labels for text in pair]

    def add(self, labels, samples=(), histograms=(), exemplars=(), metadata=None, refs=None):
        """`exemplars` are (labels, value, timestamp), `metadata` is (type, help, unit)."""
        series = data(1, _packed(self.refs(labels) if refs is None else refs))
        series += b"".join(data(2, each) for each in samples)
        series += b"".join(data(3, each) for each in histograms)
        for its_labels, value, timestamp in exemplars:
            series += data(4, data(1, _packed(self.refs(its_labels))) + double(2, value) +
                           integer(3, timestamp))
        if metadata:
            kind, text, unit = metadata
            series += data(5, integer(1, kind) + integer(3, self.symbol(text)) +
                           integer(4, self.symbol(unit)))
        self.series += data(5, series)
        return self

    def message(self):
        return b"".join(data(4, each) for each in self.symbols) + self.series

    def encoded(self):
        return snappy(self.message())


def read_v1(body):
    """[(labels, samples, exemplars, histograms)] of a WriteRequest; the latter are
    messages."""
    return [([(dict(fields(label)).get(1, b"").decode(), dict(fields(label)).get(2, b"").decode())
              for label in all_of(series, 1)],
             all_of(series, 2), all_of(series, 3), all_of(series, 4))
            for series in all_of(body, 1)]


def read_v2(body):
    """As read_v1(), of a Request."""
    symbols = [each.decode() for each in all_of(body, 4)]
    found = []
    for series in all_of(body, 5):
        refs = []
        for packed in all_of(series, 1):
            number = shift = 0
            for byte in packed:
                number |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    refs.append(number)
                    number = shift = 0
        labels = [(symbols[name], symbols[value]) for name, value in zip(refs[::2], refs[1::2])]
        found.append((labels, all_of(series, 2), all_of(series, 4), all_of(series, 3)))
    return found
