"""What a cell of the table says, and what it must not say."""

COLUMNS = ("valid", "expired", "wrong audience", "wrong key", "revoked", "provider down",
           "slow", "rotated")
HANDSHAKE = "no connection"  # TLS refuses the peer before there is a request.


class Measured:
    """The answers to real requests: (status, when) pairs; the first is the plain case.
    `when` of the others says what is different about them."""

    def __init__(self, status, *others):
        self.answers = [(status, ""), *others]

    def text(self):
        return "; ".join(f"{status} {when}".strip() for status, when in self.answers)


class NotApplicable:
    def __init__(self, reason):
        self.reason = reason

    def text(self):
        return f"n/a: {self.reason}"



def check(method, column, cell):
    """What holds of a cell whatever method it is of."""
    if isinstance(cell, NotApplicable):
        if column == "valid":
            raise AssertionError(f"{method}: something must be valid")
        return
    first = cell.answers[0][0]
    allowed = {"valid": (200,), "expired": (401, HANDSHAKE),
               "wrong audience": (401, 403, HANDSHAKE), "wrong key": (401, 403, HANDSHAKE),
               "revoked": (401, 403, HANDSHAKE),
               "provider down": (503, 200), "slow": (503, 200), "rotated": (200,)}[column]
    if first not in allowed:
        raise AssertionError(f"{method}, {column}: is {cell.text()}, must begin with one of "
                             f"{allowed}")
