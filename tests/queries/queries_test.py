#!/usr/bin/python3
"""queries_test BIN_DIR TEST_BIN_DIR [--queries N] [--compared N] [--seed N]

Sends N queries (1,000,000 by default) over the whole grammar, to every endpoint, as tenant red
through the query-frontend of BIN_DIR to a Prometheus that holds red, blue and green. Nothing of
blue may be in an answer. The first of them (20,000 by default) are compared with the answers of
a Prometheus which holds nothing but red's series; every fifth of those is asked as green, who
reads its own series and some of red and blue, and compared with one that holds only these; every
fifth as amber, whose grants overlap in names and whose queries have none.

The same questions to the query-frontend-broken of TEST_BIN_DIR, which confines nothing, must
fail soon; and within 10,000 of them each fault that is planted in its query-frontend-faulty."""

import argparse
import collections
import concurrent.futures
import http.client
import json
import math
import multiprocessing
import os
import random
import re
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [_HERE, os.path.join(os.path.dirname(_HERE), "identity")]

import grammar  # noqa: E402
import world  # noqa: E402
from processes import TOP, Lab, claim_ports  # noqa: E402
from stage import Stage  # noqa: E402

# See libs/promql/planted_faults.h.
_FAULTS = ("aggregation_parameter", "subquery", "right_operand", "at_modifier", "match_in_body",
           "cache_key", "memory_key", "union_arm", "alike_series")
# What the binary with faults looks them up by, and no other one may.
_FAULT_VARIABLE = b"INSULA_FAULT"
_BROKEN_QUERIES = 1000
_FAULT_QUERIES = 10_000
_BATCH = 1000
_FAULT_BATCH = 250  # They are found soon.
_WORKERS = 4
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# Each stands for itself and for how often it is asked in a thousand.
_ENDPOINTS = {"query": 500, "query_range": 200, "series": 60, "labels": 40, "label_values": 40,
              "query_exemplars": 30, "federate": 20, "metadata": 10, "targets": 10,
              "targets_metadata": 10, "rules": 10, "alerts": 10, "format_query": 20,
              "parse_query": 20, "explain": 10, "read": 10}
_ASKERS = 6 * ["red"] + 2 * ["green"] + 2 * ["amber"]
_COMPARED = {"query", "query_range", "series", "labels", "label_values"}
_CANARIES = (world.CANARY.encode(), str(world.SECRET).encode())


class Mismatch(Exception):
    """What an answer shows, or lacks."""


class Asker:
    """Sends requests over connections that stay open."""

    def __init__(self, ports):
        self._ports = ports
        self._connections = {}

    def close(self):
        for connection in self._connections.values():
            connection.close()

    def ask(self, whom, tenant, method, path, params, headers=(), body=None):
        """(status, header fields, body). GET has `params` in the URL, POST in the body."""
        form = urllib.parse.urlencode(params)
        target = path
        headers = dict(headers)
        if body is not None:
            pass
        elif method == "GET":
            target, body = (f"{path}?{form}" if form else path), None
        else:
            headers.update(_FORM)
            body = form
        if whom == "frontend":
            headers["Authorization"] = f"Bearer {tenant}"
        for again in (True, False):
            connection = self._connections.get(whom)
            if connection is None:
                connection = self._connections[whom] = http.client.HTTPConnection(
                    "127.0.0.1", self._ports[whom], timeout=60)
            try:
                connection.request(method, target, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # An idle one that was closed meanwhile.
                connection.close()
                del self._connections[whom]
                if not again:
                    raise


def same(one, other):
    """Whether two JSON values are equal but for the last bits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if one == other:
        return True
    try:
        a, b = float(one), float(other)
    except (TypeError, ValueError):
        return False
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return abs(a - b) <= 1e-6 + 1e-9 * max(abs(a), abs(b))


def gist(status, body):
    """What is compared of an answer."""
    answer = json.loads(body)
    if answer["status"] != "success":
        return {"status": status, "errorType": answer["errorType"]}
    data = answer["data"]
    if isinstance(data, list):
        return sorted(data, key=json.dumps)
    result = data["result"]
    if data["resultType"] in ("vector", "matrix"):
        result = sorted(result, key=lambda each: json.dumps(each["metric"], sort_keys=True))
    return {"resultType": data["resultType"], "result": result}


def is_filled(status, body):
    try:
        answer = json.loads(body)
    except ValueError:  # An exposition, or a block.
        return status == 200 and len(body) > 10
    if answer.get("status") != "success":
        return False
    data = answer.get("data")
    if isinstance(data, dict) and "result" in data:
        return bool(data["result"])
    if isinstance(data, dict):
        return any(data.values())
    return bool(data)


class Batch:
    """So many questions in a row, all by one seed."""

    def __init__(self, ports, seed):
        self._asker = Asker(ports)
        self._random = random.Random(seed)
        self._grammar = grammar.Grammar(self._random)
        self.counts = self._grammar.counts
        self._endpoints = [each for each, weight in _ENDPOINTS.items() for _ in range(weight)]

    def _times(self, endpoint):
        at = world.START + 300 + self._random.randrange(600)
        if endpoint == "query":
            return [("time", at)]
        if endpoint == "query_range":
            return [("start", at), ("end", at + 300), ("step", self._random.choice([30, "1m"]))]
        return [("start", world.START), ("end", world.START + world.SECONDS)]

    def _matches(self, least):
        return [self._grammar.match()
                for _ in range(self._random.randrange(least, 3))]

    def _question(self, endpoint, tenant):
        """(method, path, params, headers, body)"""
        self._grammar.unnamed_one_in = 1 if tenant == "amber" else 6
        pick = self._random.choice
        method, path, params, headers, body = pick(["GET", "POST"]), endpoint, [], (), None
        if endpoint in ("query", "query_range", "query_exemplars"):
            query = (self._grammar.of_range() if tenant == "amber" and self._random.randrange(2)
                     else self._grammar.query(endpoint == "query"))
            params = [("query", query), *self._times(endpoint)]
        elif endpoint in ("format_query", "parse_query", "explain"):
            params = [("query", self._grammar.query(True))]
            if endpoint == "explain":
                method, path = "GET", "insula/explain"
        elif endpoint in ("series", "labels", "label_values"):
            params = [*(("match[]", each) for each in self._matches(endpoint == "series")),
                      *self._times(endpoint)]
            if endpoint == "label_values":
                method = "GET"
                name = pick(["__name__", "namespace", "pod", "code", "owner", world.CANARY])
                # Its name, where a canary is red's own word, comes back in no answer.
                path = f"label/{name}/values"
        elif endpoint == "federate":
            method = "GET"
            params = [("match[]", each) for each in self._matches(1)]
        elif endpoint == "read":
            method, body = "POST", world.read_request(pick([
                [(2, "__name__", ".+")], [(0, "__name__", "a"), (0, "namespace", "blue")],
                [(1, "namespace", "red")], [(0, "__name__", "a"), (3, "pod", "p1")],
                [(0, "__name__", "b_total")], [(2, "owner", ".+")]]))
            headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
                       "X-Prometheus-Remote-Read-Version": "0.1.0"}
        else:
            method = "GET"
            path = endpoint.replace("targets_metadata", "targets/metadata")
        self.counts[f"endpoint {endpoint}"] += 1
        self.counts[f"method {method}"] += 1
        prefix = pick(["/api/v1/", "/api/v1/", "/prometheus/api/v1/"])
        target = f"/{path}" if endpoint == "federate" else prefix + path
        return method, target, params, headers, body

    def step(self, compared):
        """Asks one question; raises Mismatch."""
        tenant = self._random.choice(_ASKERS) if compared else "red"
        endpoint = self._random.choice(self._endpoints if tenant == "red" else sorted(_COMPARED))
        method, target, params, headers, body = self._question(endpoint, tenant)
        if endpoint in ("series", "labels") and method == "POST" and params:
            # URL and body together.
            if params[0][0] == "match[]" and self._random.randrange(2) == 0:
                self.counts["method POST with match[] in the URL"] += 1
                target += "?" + urllib.parse.urlencode([params.pop(0)])
        if endpoint in ("query", "query_range") and self._random.randrange(10) == 0:
            self.counts["asked by blue before"] += 1
            self._asker.ask("frontend", "blue", method, target, params)
        question = (method, target, params, headers, body)
        status, fields, answer = self._asker.ask("frontend", tenant, *question)
        self.counts["filled"] += is_filled(status, answer)
        shown = f"{tenant} {method} {target} {params}"
        if endpoint == "read" and status == 200:
            answer = world.unsnappy(answer)
        if tenant == "red":
            head = "\n".join(f"{name}: {value}" for name, value in fields).encode()
            for canary in _CANARIES:
                # What red itself asks for may stand in its answer.
                if canary in answer + head and canary.decode() not in target:
                    raise Mismatch(f"{shown}\nshows {canary.decode()}: {status} {answer[:2000]}")
        if status >= 500 and status != 503:
            raise Mismatch(f"{shown}\nis answered {status} {answer[:2000]}")
        if b"\"insula:" in answer and status >= 400:
            self.counts[f"refused {tenant}"] += 1
            if tenant == "red":
                raise Mismatch(f"{shown}\nis refused: {status} {answer[:2000]}")
            if b"differ in nothing but the name" in answer:
                status, _, _ = self._ask_own(tenant, question)
                self.counts["refused amber, by one of its own: "
                            + ("no" if status == 200 else "yes")] += 1
            return
        if compared and endpoint in _COMPARED:
            self._compare(tenant, question, shown, status, answer)

    def _ask_own(self, tenant, question):
        """What a server says that holds nothing but what the tenant may see."""
        method, target, params, headers, body = question
        return self._asker.ask(tenant, tenant, method, target.replace("/prometheus/", "/"), params,
                               headers, body)

    def _is_looked_up(self, query):
        """Whether the store is asked of amber's series before it is asked the query."""
        _, _, answer = self._asker.ask("frontend", "amber", "GET", "/api/v1/insula/explain",
                                       [("query", query)])
        explained = json.loads(answer)
        return explained["status"] == "success" and bool(explained["data"]["unlike"])

    def _compare(self, tenant, question, shown, status, answer):
        if tenant != "red" and self._grammar.fragile:
            return
        self.counts[f"compared {tenant}"] += 1
        query = dict(question[2]).get("query")
        if tenant == "amber" and query is not None and self._is_looked_up(query):
            self.counts["compared amber, looked up"] += 1
            self.counts["compared amber, looked up, filled"] += is_filled(status, answer)
        own, alone = gist(status, answer), []
        for _ in range(10):
            alone_status, _, body = self._ask_own(tenant, question)
            alone.append(gist(alone_status, body))
            if same(own, alone[-1]):
                return
            status, _, again = self._asker.ask("frontend", tenant, *question)
            own = gist(status, again)
            if same(own, alone[-1]):
                return
        wanted = alone[-1]
        if not all(same(wanted, each) for each in alone):
            # Which of equals topk() chooses, and the order of adding: one server's own answers
            # differ from each other, too.
            self.counts[f"undecided {tenant}"] += 1
            return
        raise Mismatch(f"{shown}\nis answered {json.dumps(own)[:3000]}\n"
                       f"by one of its own   {json.dumps(wanted)[:3000]}")


def run_batch(ports, seed, size, compared):
    """(counts, what went wrong, how many were asked)"""
    batch = Batch(ports, seed)
    for i in range(size):
        try:
            batch.step(i < compared)
        except Mismatch as error:
            return batch.counts, f"seed {seed}, question {i}: {error}", i + 1
        except Exception as error:  # pylint: disable=broad-except
            return batch.counts, f"seed {seed}, question {i}: {error!r}", i + 1
    return batch.counts, None, size


class Run:
    """All batches, several at once."""

    def __init__(self, ports, seed, queries, compared, batch=_BATCH, show_progress=False):
        self.counts = collections.Counter()
        self.asked = 0
        self.failure = None
        self._show_progress = show_progress
        started = time.monotonic()
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(_WORKERS, mp_context=context) as pool:
            waiting = set()
            batches = iter(range(0, queries, batch))
            for first in batches:
                waiting.add(pool.submit(run_batch, ports, seed * 1_000_000 + first,
                                        min(batch, queries - first), compared - first))
                if len(waiting) < 2 * _WORKERS:
                    continue
                waiting = self._take(waiting, queries, started)
                if self.failure:
                    break
            while waiting and not self.failure:
                waiting = self._take(waiting, queries, started)
            for each in waiting:
                each.cancel()
        self.seconds = time.monotonic() - started

    def _take(self, waiting, queries, started):
        done, waiting = concurrent.futures.wait(
            waiting, return_when=concurrent.futures.FIRST_COMPLETED)
        for each in done:
            counts, failure, asked = each.result()
            self.counts += counts
            self.asked += asked
            self.failure = self.failure or failure
        if self._show_progress:
            passed = time.monotonic() - started
            left = (queries - self.asked) * passed / max(self.asked, 1)
            end = "\r" if sys.stderr.isatty() else "\n"
            if sys.stderr.isatty() or self.asked * 20 // queries != self._shown(queries):
                print(f"queries: {100 * self.asked // queries} %, "
                      f"{self.asked / passed:.0f} a second, about {left / 60:.0f} min left",
                      file=sys.stderr, end=end, flush=True)
        return waiting

    _last_shown = -1

    def _shown(self, queries):
        last, self._last_shown = self._last_shown, self.asked * 20 // queries
        return last


def known_functions():
    """Those of Prometheus 2.42, by the table of the parser."""
    with open(os.path.join(TOP, "libs/promql/functions.cc"), encoding="utf-8") as file:
        rows = re.findall(r"\{\s*\"(\w+)\",[^;]*?\{(\d+), (\d+)\}", file.read())
    return {name for name, release, minor in rows if (int(release), int(minor)) == (2, 42)}


def check_counts(run, queries):
    """Complaints about what was asked too seldom."""
    least = max(queries // 1000, 1)
    wanted = [f"function {each}" for each in known_functions()]
    wanted += [f"aggregation {each}" for each in grammar.AGGREGATIONS]
    wanted += [f"endpoint {each}" for each in _ENDPOINTS]
    wanted += [f"operator {each}" for each in "+ - * / % ^ atan2 == != > < >= <= and or unless"
               .split()]
    wanted += [f"modifier {each}" for each in
               ("offset", "offset -", "@ time", "@ start()", "@ end()", "bool", "on", "ignoring",
                "group_left", "group_right", "by", "without")]
    wanted += [f"matcher {each}" for each in ("=", "!=", "=~", "!~", "__name__")]
    wanted += [f"node {each}" for each in
               ("aggregate", "aggregate with a parameter", "binary", "call", "matrix selector",
                "number", "paren", "string", "subquery", "unary", "vector selector")]
    seldom = [f"{each}: {run.counts[each]} times, at least {least} are wanted"
              for each in wanted if run.counts[each] < least]
    compared = sum(run.counts[f"compared {each}"] for each in ("red", *world.READERS))
    undecided = sum(run.counts[f"undecided {each}"] for each in ("red", *world.READERS))
    if undecided > 1 + 0.002 * compared:
        seldom.append(f"{undecided} of {compared} answers could not be compared")
    # Of amber's selectors without a name, by what the store says of their series.
    for each in ("one_name", "unlike", "alike"):
        if run.counts[f"unnamed {each}"] < run.counts["compared amber"] // 100:
            seldom.append(f"selectors whose series are {each}: "
                          f"{run.counts[f'unnamed {each}']} times")
    if run.counts["compared amber, looked up, filled"] < run.counts["compared amber"] // 40:
        seldom.append("amber's answers after a look-up that are not empty: "
                      f"{run.counts['compared amber, looked up, filled']}")
    if run.counts["unnamed unknown"]:
        seldom.append(f"{run.counts['unnamed unknown']} times the store did not say which series "
                      "there are")
    if run.counts["filled"] < 0.3 * run.asked:
        seldom.append(f"{run.counts['filled']} of {run.asked} answers are not empty")
    return seldom


def check_that_it_fails(what, stage, ports, seed, queries):
    run = Run(ports, seed, queries, queries, _FAULT_BATCH)
    stage.stop_frontend()
    if not run.failure:
        raise SystemExit(f"{what}: not found by {run.asked} queries")
    print(f"{what}: found by query {run.asked} or before: {run.failure[:300]}", flush=True)


def check_with_cache(stage, seed, queries):
    """Nor is blue's in what was kept for blue and is asked for by red. Not compared: where the
    order of adding shows, what is kept stays as it is."""
    run = Run(stage.start_frontend(cache=True), seed, queries, 0)
    stage.stop_frontend()
    if run.failure:
        raise SystemExit(f"with the cache: {run.failure}")
    print(f"with the cache: nothing found by {run.asked} queries, before "
          f"{run.counts['asked by blue before']} of which blue had asked the same", flush=True)


def check_binaries(bin_dir, test_bin_dir):
    """That faults can be planted in the one for tests alone."""
    for binary, wanted in ((os.path.join(bin_dir, "query-frontend"), False),
                           (os.path.join(test_bin_dir, "query-frontend-faulty"), True)):
        with open(binary, "rb") as file:
            if (_FAULT_VARIABLE in file.read()) != wanted:
                raise SystemExit(f"{binary} {'lacks' if wanted else 'has'} planted faults")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin_dir")
    parser.add_argument("test_bin_dir")
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--compared", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    check_binaries(arguments.bin_dir, arguments.test_bin_dir)
    with Lab() as lab:
        stage = Stage(lab, arguments.bin_dir, arguments.test_bin_dir, claim_ports)
        run = Run(stage.start_frontend(), arguments.seed, arguments.queries, arguments.compared,
                  show_progress=True)
        if not run.failure:
            for series, value in re.findall(
                    r'^query_frontend_unnamed_unions_total\{series="(\w+)"\} (\S+)$', stage.metrics(),
                    re.M):
                run.counts[f"unnamed {series}"] = int(float(value))
        stage.stop_frontend()
        for name, count in sorted(run.counts.items()):
            print(f"{count:9d} {name}")
        share = 100 * run.counts["filled"] / max(run.asked, 1)
        print(f"{run.asked} queries in {run.seconds:.0f} s, {run.asked / run.seconds:.0f} a "
              f"second, {share:.0f} % of the answers not empty", flush=True)
        complaints = [run.failure] if run.failure else check_counts(run, arguments.queries)
        if complaints:
            raise SystemExit("\n".join(complaints))
        check_with_cache(stage, arguments.seed, min(arguments.queries, _FAULT_QUERIES))
        check_that_it_fails("no confinement", stage, stage.start_broken(), arguments.seed,
                            _BROKEN_QUERIES)
        for fault in _FAULTS:
            ports = stage.start_faulty(fault, cache=fault == "cache_key")
            check_that_it_fails(f"fault {fault}", stage, ports, arguments.seed, _FAULT_QUERIES)


if __name__ == "__main__":
    main()
