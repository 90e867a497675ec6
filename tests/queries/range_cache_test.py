#!/usr/bin/python3
"""range_cache_test BIN_DIR

A panel that is refreshed, then moved on in time, through a query-frontend that keeps answers,
before a Prometheus that holds red, blue and green. What red and green are told has to be what a
Prometheus says that never held anything but what they may read, whoever asked the same before;
and the store has to be asked for less."""

import os
import re
import sys
import unittest

sys.dont_write_bytecode = True
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [_HERE, os.path.join(os.path.dirname(_HERE), "identity")]

import world  # noqa: E402
from processes import Lab, claim_ports  # noqa: E402
from queries_test import Asker, gist, same  # noqa: E402
from stage import Stage  # noqa: E402

BINARIES = [""]  # Where the services are; set by the program.
TENANTS = ("blue", "red", "green")
# Of the series that green reads, no sum depends on the order of adding.
KEPT = ("a", "sum by (pod) (rate(b_total[2m]))", "count by (code) (a)", "max_over_time(c[1m])",
        "histogram_quantile(0.9, sum by (le) (rate(h_bucket[5m])))", "absent(gone)",
        "max by (pod) (a) / on (pod) max by (pod) (c offset 1m)", "a > bool 500",
        "max_over_time(max(a)[3m:30s])", "vector(1)", f"max(a @ {world.START + 300})")
# Each range has an answer of its own.
NOT_KEPT = ("count(a @ end())", "max(a @ start())")
STEP = 30
# The panel, refreshed; moved on by a part of it; as long as there is data; by itself, between.
FIRST = (world.START + 300, world.START + 600)
LATER = ((FIRST[0] + 2 * STEP, FIRST[1] + 2 * STEP), (FIRST[0] + 5 * STEP, FIRST[1] + 10 * STEP),
         (world.START, world.START + world.SECONDS), (FIRST[0] + STEP, FIRST[0] + 2 * STEP))
# Other steps: not on the grid of the first.
BESIDE = (FIRST[0] + 7, FIRST[1] + 7)


class RangeCacheTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        lab = cls.enterClassContext(Lab())
        cls.stage = Stage(lab, BINARIES[0], "", claim_ports)

    def setUp(self):
        self.asker = Asker(self.stage.start_frontend(cache=True))
        self.addCleanup(self.stage.stop_frontend)
        self.addCleanup(self.asker.close)

    def ask(self, tenant, query, span, whom="frontend"):
        status, _, body = self.asker.ask(
            whom, tenant, "GET", "/api/v1/query_range",
            [("query", query), ("start", span[0]), ("end", span[1]), ("step", STEP)])
        self.assertEqual(status, 200, f"{tenant} {query} {body[:1000]}")
        return status, body

    def check(self, tenant, query, span):
        status, body = self.ask(tenant, query, span)
        if tenant == "blue":
            return body  # Holds canaries, and the next is not to see them.
        told, alone = gist(status, body), gist(*self.ask(tenant, query, span, whom=tenant))
        self.assertTrue(same(told, alone), f"{tenant} {query} {span}\n{told}\nalone:\n{alone}")
        if tenant == "red":
            for canary in (world.CANARY, str(world.SECRET)):
                self.assertNotIn(canary.encode(), body, f"{query} {span}")
        return body

    def counts(self):
        """{result: how many range queries}"""
        text = self.stage.metrics()
        return {result: int(float(value)) for result, value in re.findall(
            r'^insula_range_cache_requests_total\{result="(\w+)"\} (\S+)$', text, re.M)}

    def asked_of_store(self):
        return sum(int(float(value)) for value in re.findall(
            r"^prometheus_proxy_backend_requests_total\{[^}]*\} (\S+)$", self.stage.metrics(),
            re.M))

    def test_a_panel_that_is_refreshed_and_moved_on(self):
        # Whoever comes first fills nothing for the others.
        filled = 0
        for query in KEPT:
            for tenant in TENANTS:
                filled += b'"values"' in self.check(tenant, query, FIRST)
        each = len(KEPT) * len(TENANTS)
        self.assertGreater(filled, 0.8 * each)
        self.assertEqual(self.counts(), {"hit": 0, "partial": 0, "miss": each, "bypass": 0})
        asked = self.asked_of_store()
        # Refreshed: the store has nothing to do, and each gets his own.
        for query in KEPT:
            for tenant in reversed(TENANTS):
                self.check(tenant, query, FIRST)
        self.assertEqual(self.counts(), {"hit": each, "partial": 0, "miss": each, "bypass": 0})
        self.assertEqual(self.asked_of_store(), asked)
        # Moved on: it is asked for what is new.
        for span in LATER:
            for query in KEPT:
                for tenant in TENANTS:
                    self.check(tenant, query, span)
        counts = self.counts()
        self.assertEqual(counts["miss"], each)
        self.assertEqual(counts["bypass"], 0)
        self.assertGreaterEqual(counts["partial"], 2 * each)
        self.assertGreaterEqual(counts["hit"], 2 * each)
        # The times of the user are kept, so that this is another question.
        for query in KEPT:
            for tenant in TENANTS:
                self.check(tenant, query, BESIDE)
        self.assertEqual(self.counts()["miss"], 2 * each)

    def test_a_union_of_what_differs_in_more_than_names(self):
        query = 'count by (code) (rate({__name__=~"[a-z_]*",namespace="red"}[2m]))'
        for span in (FIRST, FIRST, *LATER, BESIDE):
            self.assertIn(b'"values"', self.check("amber", query, span))
        looked_up = re.search(r'unnamed_unions_total\{series="unlike"\} (\S+)', self.stage.metrics())
        # Each time, also before what is kept is used.
        self.assertEqual(int(float(looked_up[1])), 3 + len(LATER))
        counts = self.counts()
        self.assertEqual((counts["miss"], counts["bypass"]), (2, 0))
        self.assertGreaterEqual(counts["hit"], 2)

    def test_what_is_of_one_range_alone_is_not_kept(self):
        for span in (FIRST, FIRST, *LATER):
            for query in NOT_KEPT:
                for tenant in TENANTS:
                    self.check(tenant, query, span)
        self.assertEqual(self.counts()["hit"] + self.counts()["partial"], 0)


if __name__ == "__main__":
    BINARIES[:] = [sys.argv.pop(1)]
    unittest.main(verbosity=2)
