#!/usr/bin/python3
"""victoria_metrics_test BIN_DIR TEST_BIN_DIR [--queries N] [--seed N]

The queries of queries_test through the query-frontend of BIN_DIR to a VictoriaMetrics that holds
red, blue and green. Red is shown nothing of blue's, and red, green and amber, who read unions of
grants, are told what a VictoriaMetrics says that holds only what they read. What it says otherwise
than a Prometheus is the same in both.

The same questions to the query-frontend-broken of TEST_BIN_DIR must fail soon."""

import argparse
import json
import os
import re
import sys

sys.dont_write_bytecode = True
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [_HERE, os.path.join(os.path.dirname(_HERE), "identity")]

import queries_test  # noqa: E402
import world  # noqa: E402
from processes import Lab, claim_ports, wait_until  # noqa: E402
from queries_test import Mismatch, gist, is_filled, same  # noqa: E402
from stage import VictoriaMetricsStage  # noqa: E402

# It has neither. Of exemplars, rules and targets it knows nothing, but is asked.
_LEFT_OUT = {"read", "targets_metadata"}
_COMPARED = {"query", "query_range", "series", "labels", "label_values", "federate"}
_BROKEN_QUERIES = 500
# It answers with the label of the policy there, which is the tenant's own.
_ABSENT_WITHOUT_LABEL = re.compile(r"""absent(?s:.*)=\s*(""|''|``)""")


def gist_of(endpoint, status, body):
    """What is compared of an answer. Errors are said in other words."""
    if status >= 400:
        return {"refused": True}
    if endpoint == "federate":
        return sorted(line.rsplit(b" ", 1)[0].decode() for line in _samples(body))
    return gist(status, body)


def _samples(exposition):
    return [line for line in exposition.splitlines() if line and not line.startswith(b"#")]


class Batch(queries_test.Batch):
    def __init__(self, ports, seed):
        super().__init__(ports, seed)
        self._endpoints = [each for each in self._endpoints if each not in _LEFT_OUT]
        self._unions = sorted(_COMPARED)

    def step(self, compared=True):
        """Asks one question; raises Mismatch."""
        tenant = self._random.choice(["red", "green", "amber"])
        endpoint = self._random.choice(self._endpoints if tenant == "red" else self._unions)
        method, target, params, headers, body = self._question(endpoint, tenant)
        status, fields, answer = self._asker.ask("frontend", tenant, method, target, params,
                                                 headers, body)
        self.counts["filled"] += is_filled(status, answer)
        shown = f"{tenant} {method} {target} {params}"
        if tenant == "red":
            head = "\n".join(f"{name}: {value}" for name, value in fields).encode()
            for canary in (world.CANARY, str(world.SECRET)):
                if canary.encode() in answer + head and canary not in target:
                    raise Mismatch(f"{shown}\nshows {canary}: {status} {answer[:2000]}")
        if status >= 500:
            raise Mismatch(f"{shown}\nis answered {status} {answer[:2000]}")
        if b"can't be confined" in answer:
            raise Mismatch(f"{shown}\nis refused: {answer[:2000]}")
        if status == 400:
            self.counts["refused by our parser"] += 1
        elif (endpoint in _COMPARED and not self._grammar.fragile and
              not _ABSENT_WITHOUT_LABEL.search(dict(params).get("query", ""))):
            self._compare_with_own(tenant, endpoint, (method, target, params, headers, body), shown,
                                   gist_of(endpoint, status, answer))

    def _as_understood(self, tenant, params):
        """With the query as it was understood, for MetricsQL reads some otherwise."""
        texts = dict(params)
        if "query" not in texts:
            return params
        status, _, answer = self._asker.ask("frontend", tenant, "POST", "/api/v1/format_query",
                                            [("query", texts["query"])])
        if status != 200:
            raise Mismatch(f"format_query of {texts['query']} is answered {answer[:1000]}")
        return [*((name, value) for name, value in params if name != "query"),
                ("query", json.loads(answer)["data"])]

    def _compare_with_own(self, tenant, endpoint, question, shown, own):
        method, target, params, headers, body = question
        self.counts[f"compared {tenant}"] += 1
        alone = []
        for _ in range(5):
            status, _, answer = self._asker.ask(
                tenant, tenant, method, target.replace("/prometheus/", "/"),
                self._as_understood(tenant, params), headers, body)
            alone.append(gist_of(endpoint, status, answer))
            if same(own, alone[-1]):
                return
            status, _, answer = self._asker.ask("frontend", tenant, *question)
            own = gist_of(endpoint, status, answer)
            if same(own, alone[-1]):
                return
        if not all(same(alone[0], each) for each in alone):
            self.counts[f"undecided {tenant}"] += 1
            return
        raise Mismatch(f"{shown}\nis answered {json.dumps(own)[:3000]}\n"
                       f"by one of its own   {json.dumps(alone[-1])[:3000]}")


def run(ports, seed, queries):
    """(counts, what went wrong, how many were asked)"""
    batch = Batch(ports, seed)
    for i in range(queries):
        try:
            batch.step()
        except Mismatch as error:
            return batch.counts, f"seed {seed}, question {i}: {error}", i + 1
    return batch.counts, None, queries


def wait_for_filters(ports):
    """Unions are sent as filters once the store has shown that it reads them."""
    asker = queries_test.Asker(ports)

    def explained():
        _, _, answer = asker.ask("frontend", "green", "GET", "/api/v1/insula/explain",
                                 [("query", "rate({pod=~\"p.\"}[5m])")])
        return json.loads(answer)["data"]["extraFilters"]

    wait_until("filters", explained)
    asker.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin_dir")
    parser.add_argument("test_bin_dir")
    parser.add_argument("--queries", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with Lab() as lab:
        stage = VictoriaMetricsStage(lab, arguments.bin_dir, arguments.test_bin_dir, claim_ports)
        ports = stage.start_frontend()
        wait_for_filters(ports)
        counts, failure, asked = run(ports, arguments.seed, arguments.queries)
        stage.stop_frontend()
        for name, count in sorted(counts.items()):
            print(f"{count:6d} {name}")
        if failure:
            raise SystemExit(failure)
        for tenant in ("red", *world.READERS):
            compared = counts[f"compared {tenant}"]
            if compared < arguments.queries / 10 or counts[f"undecided {tenant}"] > compared / 100:
                raise SystemExit(f"{compared} answers of {tenant} were compared, "
                                 f"{counts[f'undecided {tenant}']} could not be")
        if counts["filled"] < 0.3 * asked:
            raise SystemExit(f"{counts['filled']} of {asked} answers are not empty")
        _, failure, asked = run(stage.start_broken(), arguments.seed, _BROKEN_QUERIES)
        stage.stop_frontend()
        if not failure:
            raise SystemExit(f"no confinement: not found by {asked} queries")
        print(f"no confinement: found by query {asked}: {failure[:300]}", flush=True)


if __name__ == "__main__":
    main()
