"""Queries over the whole grammar of Prometheus 2.42, for the series of world.py."""

import collections

from world import CODES, METRICS, PODS, SECONDS, START

# What each takes: v(ector), m(atrix), s(calar); `?` behind what may be absent. Those with
# strings, or with numbers that must be of a kind, are made by a method of their name.
FUNCTIONS = {
    **dict.fromkeys(
        "abs absent acos acosh asin asinh atan atanh ceil cos cosh deg exp floor histogram_count "
        "histogram_sum ln log10 log2 rad sgn sin sinh sort sort_desc sqrt tan tanh timestamp"
        .split(), ("v", )),
    **dict.fromkeys(
        "absent_over_time avg_over_time changes count_over_time delta deriv idelta increase irate "
        "last_over_time max_over_time min_over_time present_over_time rate resets "
        "stddev_over_time stdvar_over_time sum_over_time".split(), ("m", )),
    **dict.fromkeys(
        "day_of_month day_of_week day_of_year days_in_month hour minute month year".split(),
        ("v?", )),
    "clamp": ("v", "s", "s"),
    "clamp_max": ("v", "s"),
    "clamp_min": ("v", "s"),
    "histogram_fraction": ("s", "s", "v"),
    "histogram_quantile": ("s", "v"),
    "holt_winters": ("m", "fraction", "fraction"),
    "label_join": None,
    "label_replace": None,
    "pi": (),
    "predict_linear": ("m", "s"),
    "quantile_over_time": ("s", "m"),
    "round": ("v", "s?"),
    "scalar": ("v", ),
    "time": (),
    "vector": ("s", ),
}
_OF_SCALARS = {"pi", "scalar", "time"}  # Return one.
_OF_VECTORS = sorted(set(FUNCTIONS) - _OF_SCALARS)
_OF_RANGES = sorted(["timestamp", *(name for name, kinds in FUNCTIONS.items()
                                    if "m" in (kinds or ()))])
AGGREGATIONS = ("avg bottomk count count_values group max min quantile stddev stdvar sum topk"
                .split())
_ARITHMETIC = ["+", "-", "*", "/", "%", "^", "atan2"]
_COMPARISONS = ["==", "!=", ">", "<", ">=", "<="]
_SETS = ["and", "or", "unless"]
# Where the least difference of a value, or the order of series, is one of the answer.
_FRAGILE = {"ceil", "floor", "round", "sgn", "sort", "sort_desc", "changes", "resets", "topk",
            "bottomk", "count_values", "%", "quantile", "stddev", "stdvar", "acosh", "tan", "ln",
            "log2", "log10", "deriv", "predict_linear", "exp", "sinh", "cosh", "sin", "cos",
            "^", "sqrt", "irate", "acos", "asin", "atanh", "atan2", "holt_winters",
            *_COMPARISONS}
LABELS = ("namespace", "pod", "code")


class Grammar:
    """Makes queries with numbers of `random`, and counts in `counts` what they hold. After
    query() and match(), `fragile` says whether rounding or order may show in an answer.
    `unnamed_one_in` says how many selectors have no metric name."""

    def __init__(self, random):
        self._random = random
        self.counts = collections.Counter()
        self.fragile = False
        self.unnamed_one_in = 6  # Of selectors.

    def _pick(self, choices):
        return self._random.choice(choices)

    def _one_in(self, n):
        return self._random.randrange(n) == 0

    def _count(self, kind, what=""):
        self.counts[f"{kind} {what}".strip()] += 1
        if what in _FRAGILE:
            self.fragile = True

    def query(self, instant):
        """A whole query; only an instant one may be a range of series, or a string."""
        self.fragile = False
        if instant and self._one_in(25):
            text = self._matrix(1)
        elif instant and self._one_in(100):
            text = self._string(self._pick(["plain", "", "with } and (", "\n"]))
        elif self._one_in(12):
            text = self._scalar(2)
        else:
            text = self._vector(self._pick([0, 1, 1, 2, 2, 3]))
        if self._one_in(20):
            self._count("text", "comment")
            text += self._pick([" # } or a{namespace=\"blue\"}", "\n# (", "#"])
        return text

    def of_range(self):
        """A query that is a function of a range of series, or of what timestamp() looks at."""
        self.fragile = False
        text = self._call(self._pick(_OF_RANGES), 1)
        if self._one_in(2):
            return text
        self._count("node", "aggregate")
        self._count("aggregation", name := self._pick(["count", "max", "sum"]))
        return f"{name}{self._pick(['', ' by (pod)', ' without (code)'])} ({text})"

    def match(self):
        """One for match[]."""
        self.fragile = False
        return self._selector(plain=True)

    # Words.

    def _string(self, text):
        kind = self._pick(["double", "double", "single", "backtick"])
        self._count("node", "string")
        self._count("string", kind)
        if kind == "backtick" and "`" not in text:
            return f"`{text}`"
        quote = "'" if kind == "single" else '"'
        text = text.replace("\\", "\\\\").replace(quote, "\\" + quote).replace("\n", "\\n")
        if text and self._one_in(8):
            self._count("string", "escape")
            text = "\\x%02x" % ord(text[0]) + text[1:] if text[0] not in "\\" else text
        return quote + text + quote

    def _number(self):
        kind = self._pick(["plain", "plain", "plain", "fraction", "exponent", "hex", "Inf", "NaN"])
        self._count("node", "number")
        self._count("number", kind)
        return {"plain": self._pick(["0", "1", "2", "3", "10"]), "fraction": "0.5",
                "exponent": self._pick(["1e1", "2.5E-1"]), "hex": "0x1F",
                "Inf": self._pick(["Inf", "+inf"]), "NaN": "NaN"}[kind]

    def _duration(self):
        text = self._pick(["15s", "5m", "1m30s", "60000ms", "1h", "1d", "1w", "1y", "0h5m"])
        for unit in ("ms", "y", "w", "d", "h"):
            if unit in text:
                self._count("duration", unit)
        self._count("duration", "s or m")
        return text

    def _short(self):
        return self._pick(["15s", "1m", "2m", "90s", "1m30s", "5m", "60000ms"])

    def _space(self):
        return self._pick(["", " ", " ", "\n", "\t"])

    # Selectors.

    def _matcher(self):
        operator, label, value = self._pick([
            ("=", "namespace", "red"), ("=", "namespace", "blue"), ("!=", "namespace", "red"),
            ("=~", "namespace", ".+"), ("=~", "namespace", "red|blue"), ("!~", "namespace", "r.*"),
            ("=", "namespace", ""), ("=~", "owner", ".*"), ("!=", "owner", ""),
            *(("=", "pod", each) for each in PODS), ("=~", "pod", "p1|p2"), ("!=", "pod", "p3"),
            ("!~", "pod", "p[23]"), ("=~", "pod", ".+"), ("=", "gone", ""), ("!=", "gone", "x"),
            *(("=", "code", each) for each in CODES), ("=~", "code", "5.."), ("!~", "code", "4.."),
            ("=~", "code", "(?i:5.*|200)"), ("!=", "code", "404")])
        self._count("matcher", operator)
        return f"{label}{self._space()}{operator}{self._string(value)}"

    def _selector(self, plain=False):
        self._count("node", "vector selector")
        matchers = [self._matcher() for _ in range(self._pick([0, 0, 0, 1, 1, 2]))]
        name = self._pick(METRICS)
        if self._one_in(self.unnamed_one_in):
            self._count("matcher", "__name__")
            operator, value = self._pick([("=", name), ("=~", "a|c"), ("=~", ".+"),
                                          ("!=", ""), ("=~", ".*5c1.*"), ("!~", "b.*")])
            matchers.append(f"__name__{operator}{self._string(value)}")
            name = ""
            if operator == "!~":
                matchers.append('pod=~".+"')
        text = name
        if matchers or (name and self._one_in(10)):
            self._random.shuffle(matchers)
            tail = "," if matchers and self._one_in(10) else ""
            text += f"{self._space()}{{{','.join(matchers)}{tail}}}"
        return text if plain else text + self._modifiers()

    def _modifiers(self):
        offset = at = ""
        if self._one_in(8):
            sign = self._pick(["", "", "-"])
            self._count("modifier", "offset -" if sign else "offset")
            offset = f" offset {sign}{self._short()}"
        if self._one_in(8):
            kind = self._pick(["@ time", "@ start()", "@ end()"])
            self._count("modifier", kind)
            at = " " + kind.replace("time", self._pick([
                str(START + SECONDS // 2), f"{START + 500}.5", f"{START + 300}"]))
        return self._pick([offset + at, at + offset])

    def _matrix(self, depth):
        if depth > 0 and self._one_in(3):
            self._count("node", "subquery")
            step = self._pick(["", "30s", "1m"])
            inner = self._vector(depth - 1)
            return (f"{self._paren(inner)}[{self._pick(['2m', '3m', '5m'])}:{step}]"
                    f"{self._modifiers()}")
        self._count("node", "matrix selector")
        window = self._duration() if self._one_in(3) else self._pick(["1m", "2m", "5m"])
        return f"{self._selector(plain=True)}[{window}]{self._modifiers()}"

    # Expressions.

    def _paren(self, text):
        self._count("node", "paren")
        return f"({self._space()}{text}{self._space()})"

    def _scalar(self, depth):
        choice = self._random.randrange(10) if depth > 0 else self._random.randrange(4)
        if choice < 3:
            return self._number()
        if choice < 5:
            return self._call(self._pick(["pi", "time"]), depth)
        if choice < 7:
            return self._call("scalar", depth)
        if choice == 7:
            return self._paren(self._scalar(depth - 1))
        if choice == 8:
            return self._unary(self._scalar(depth - 1))
        operator = self._pick(_ARITHMETIC + _COMPARISONS)
        self._count("node", "binary")
        self._count("operator", operator)
        more = ""
        if operator in _COMPARISONS:
            self._count("modifier", "bool")
            more = " bool"
        return self._paren(
            f"{self._scalar(depth - 1)} {operator}{more} {self._scalar(depth - 1)}")

    def _unary(self, text):
        self._count("node", "unary")
        sign = self._pick("-+")
        self._count("operator", f"unary {sign}")
        return f"{sign}{self._paren(text)}"

    def _vector(self, depth):
        if depth <= 0:
            return self._selector()
        choice = self._random.randrange(20)
        if choice < 3:
            return self._selector()
        if choice < 11:
            return self._call(self._pick(_OF_VECTORS), depth)
        if choice < 14:
            return self._aggregation(depth)
        if choice < 18:
            return self._paren(self._binary(depth))
        if choice == 18:
            return self._unary(self._vector(depth - 1))
        return self._paren(self._vector(depth - 1))

    def _call(self, name, depth):
        self._count("node", "call")
        self._count("function", name)
        if name == "label_replace":
            arguments = [self._vector(depth - 1), *(self._string(each) for each in self._pick([
                ("x", "$1", "pod", "p(.*)"), ("namespace", "red", "", ""),
                ("pod", "same", "code", ".*"), ("__name__", "other", "", ""),
                ("code", "", "", "")]))]
        elif name == "label_join":
            arguments = [self._vector(depth - 1), *(self._string(each) for each in self._pick([
                ("x", "-", "pod", "code"), ("x", ","), ("namespace", "", "pod")]))]
        else:
            arguments = []
            for kind in FUNCTIONS[name]:
                if kind.endswith("?") and self._one_in(2):
                    break
                arguments.append(self._argument(kind[0], depth - 1))
        return f"{name}({', '.join(arguments)})"

    def _argument(self, kind, depth):
        if kind == "f":  # A fraction.
            self._count("node", "number")
            return self._pick(["0.5", "0.3", "0.9"])
        if kind == "s":
            return self._scalar(min(depth, 1)) if self._one_in(3) else self._number()
        return self._matrix(depth) if kind == "m" else self._vector(depth)

    def _labels(self):
        self._random.shuffle(labels := [*LABELS])
        labels = labels[:self._pick([0, 1, 1, 2])]
        return f"({', '.join(labels)}{',' if labels and self._one_in(10) else ''})"

    def _aggregation(self, depth):
        name = self._pick(AGGREGATIONS)
        self._count("node", "aggregate")
        self._count("aggregation", name)
        arguments = [self._vector(depth - 1)]
        if name == "count_values":
            arguments.insert(0, self._string(self._pick(["v", "pod"])))
        elif name in ("topk", "bottomk", "quantile"):
            self._count("node", "aggregate with a parameter")
            arguments.insert(0, self._parameter(depth - 1))
        group = ""
        if not self._one_in(3):
            word = self._pick(["by", "by", "without"])
            self._count("modifier", word)
            group = f" {word} {self._labels()}"
        arguments = f"({', '.join(arguments)})"
        return f"{name}{group}{arguments}" if self._one_in(2) else f"{name}{arguments}{group}"

    def _parameter(self, depth):
        if self._one_in(2):
            return f"scalar({self._aggregation(max(depth, 1))})"
        return self._pick(["1", "2", "0.5"])

    def _binary(self, depth):
        self._count("node", "binary")
        operator = self._pick(_ARITHMETIC + _COMPARISONS + 2 * _SETS)
        self._count("operator", operator)
        with_scalar = operator not in _SETS and self._one_in(2)
        left, right = self._vector(depth - 1), self._vector(depth - 1)
        more = ""
        if operator in _COMPARISONS and self._one_in(2):
            self._count("modifier", "bool")
            more = " bool"
        if with_scalar:
            pair = [left, self._scalar(depth - 1)]
            self._random.shuffle(pair)
            left, right = pair
        elif not self._one_in(3):
            word = self._pick(["on", "ignoring"])
            self._count("modifier", word)
            more += f" {word} {self._labels()}"
            if operator not in _SETS and self._one_in(2):
                side = self._pick(["group_left", "group_right"])
                self._count("modifier", side)
                # The side of one is made so that it mostly is one.
                one = self._pick(["sum", "max", "count"])
                labels = more[more.index("("):] if word == "on" else "()"
                if side == "group_left":
                    right = f"{one} by {labels} ({right})"
                else:
                    left = f"{one} by {labels} ({left})"
                with_labels = right.startswith("(") or self._one_in(2)
                more += f" {side} {self._pick(['()', '(owner)']) if with_labels else ''}"
        return f"{left} {operator}{more} {right}"
