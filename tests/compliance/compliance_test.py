#!/usr/bin/python3
"""compliance_test BIN_DIR [unittest arguments]

What the remote write specifications 1.0 and 2.0 say MUST be, as a receiver and, with the
gateway as a relay, as a sender."""

import email.utils
import json
import os
import struct
import sys
import time
import unittest

sys.dont_write_bytecode = True
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [_HERE, os.path.join(os.path.dirname(_HERE), "identity")]

import wire  # noqa: E402
from insula import Service  # noqa: E402
from processes import Lab, claim_ports, send, sha256, wait_until  # noqa: E402
from store import Store  # noqa: E402
from wire import V1, V2, V1_TYPE, V2_TYPE, histogram, sample  # noqa: E402

_BIN = ""
_UP = [("__name__", "up"), ("job", "a")]
# Of the tenants `labelled` and `modern-labelled`.
_ENFORCED = {"cell": "one", "zone": "z"}
_WRITTEN = [f"X-Prometheus-Remote-Write-{what}-Written"
            for what in ("Samples", "Histograms", "Exemplars")]


class _Case(unittest.TestCase):
    """A gateway with the tenants red, by the token `red`, whose store takes 1.0, and
    modern, whose store is the same and is known to take 2.0."""

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.store = Store()
        cls.addClassCleanup(cls.store.close)
        cls.port = cls.start_gateway()

    @classmethod
    def objects(cls):
        url = f"http://127.0.0.1:{cls.store.port}"
        yield "Upstream", "store", {"write_url": f"{url}/one", "isolation": "ISOLATION_HEADER"}
        yield "Upstream", "modern", {"write_url": f"{url}/two", "isolation": "ISOLATION_HEADER",
                                     "write_protocol": "WRITE_PROTOCOL_2"}
        for name, protocol in (("shared", 1), ("modern-shared", 2)):
            yield "Upstream", name, {"write_url": f"{url}/{name}", "isolation": "ISOLATION_LABEL",
                                     "write_protocol": f"WRITE_PROTOCOL_{protocol}"}
        for tenant, upstream, enforced in (
                ("red", "store", {}), ("modern", "modern", {}),
                ("labelled", "shared", _ENFORCED), ("modern-labelled", "modern-shared", _ENFORCED)):
            yield "Tenant", tenant, {"upstream_id": upstream, "enforced_labels": enforced}
            yield "Binding", tenant, {"token_sha256": sha256(tenant), "tenant_ids": [tenant],
                                      "roles": ["ROLE_WRITE"]}

    @classmethod
    def start_gateway(cls):
        resources = "---\n".join(json.dumps({"kind": kind, "id": name, "spec": spec}) + "\n"
                                 for kind, name, spec in cls.objects())
        cls.lab.write("tenants.yaml", resources)
        registry = Service(
            cls.lab, os.path.join(_BIN, "tenant-registry"), "registry",
            {"storage": {"path": cls.lab.path("registry.db")},
             "sources": {"files": [cls.lab.path("tenants.yaml")]},
             "grpc": {"listen_address": "127.0.0.1:0"}})
        gateway = Service(
            cls.lab, os.path.join(_BIN, "ingest-gateway"), "gateway",
            {"registry": {"address": f"127.0.0.1:{registry.ports['grpc']}"},
             "grpc": {"listen_address": "127.0.0.1:0"}, **cls.settings(),
             "listeners": [{"name": "write", "listen_address": "127.0.0.1:0"}]})
        return gateway.ports["write"]

    @classmethod
    def settings(cls):
        return {}

    def setUp(self):
        self.store.take()
        self.store.answers = []
        self.store.takes_v2 = True
        self.store.ignorant = 415

    def post(self, body, kind=V2_TYPE, token="red", headers=None, method="POST",
             encoding="snappy"):
        sent = [("Authorization", f"Bearer {token}"), ("User-Agent", "compliance/1")]
        if kind is not None:
            sent.append(("Content-Type", kind))
        if encoding is not None:
            sent.append(("Content-Encoding", encoding))
        sent += headers or [("X-Prometheus-Remote-Write-Version",
                             "2.0.0" if kind == V2_TYPE else "0.1.0")]
        return send(self.port, method, "/api/v1/write", sent, body)

    def assert_written(self, answer, samples=0, histograms=0, exemplars=0):
        found = [answer.headers.get(name) for name in _WRITTEN]
        self.assertEqual(found, [str(samples), str(histograms), str(exemplars)], answer)

    def got(self, count):
        """What has come to the store, once that is so much."""
        found = []

        def enough():
            found.extend(self.store.take())
            return len(found) >= count

        wait_until(f"{count} requests at the store", enough)
        self.assertEqual(len(found), count)
        return found

    def stored(self):
        """(labels, samples, exemplars, histograms) of all that came to the store."""
        return [series for got in self.store.take() for series in got.series]

    def assert_refused(self, request, kept=0, reason=""):
        """The request beside a good series, which is kept."""
        request.add([("__name__", "good")], [sample(1.0, 1000)])
        answer = self.post(request.encoded())
        self.assertEqual(answer.status, 400, answer)
        self.assertIn(reason, answer.body.decode())
        self.assert_written(answer, samples=1 + kept)
        self.assertIn([("__name__", "good")], [series[0] for series in self.stored()])


class ReceiverTest(_Case):

    def test_samples_of_both_protocols_are_taken_with_204(self):
        for request, kind in ((V1(), V1_TYPE), (V2(), V2_TYPE)):
            answer = self.post(request.add(_UP, [sample(1.5, 1000)]).encoded(), kind)
            self.assertEqual((answer.status, answer.body), (204, b""))
            (labels, samples, _, _), = self.stored()
            self.assertEqual(labels, _UP)
            self.assertEqual(samples, [sample(1.5, 1000)])

    def test_2_is_told_what_was_written_and_1_is_not(self):
        request = V2().add(_UP, [sample(1.0, 1000), sample(2.0, 2000)],
                           exemplars=[([("trace_id", "x")], 1.0, 1000)])
        request.add([("__name__", "h")], histograms=[histogram(1000)])
        answer = self.post(request.encoded())
        self.assertEqual(answer.status, 204)
        self.assert_written(answer, samples=2, histograms=1, exemplars=1)
        answer = self.post(V1().add(_UP, [sample(1.0, 1000)]).encoded(), V1_TYPE)
        self.assertEqual([answer.headers.get(name) for name in _WRITTEN], [None] * 3)

    def test_the_content_type_alone_tells_the_protocols_apart(self):
        one = V1().add(_UP, [sample(1.0, 1000)]).encoded()
        two = V2().add(_UP, [sample(1.0, 1000)]).encoded()
        version = "X-Prometheus-Remote-Write-Version"
        for body, kind, headers in (
                (one, None, None),
                (one, "application/x-protobuf;proto=prometheus.WriteRequest", None),
                (one, V1_TYPE, [(version, "2.0.0")]),
                (two, V2_TYPE, [(version, "0.1.0")]),
                (two, V2_TYPE, [("X-Other", "1")]),
                (two, V2_TYPE.replace(";", " ; "), None)):
            self.assertEqual(self.post(body, kind, headers=headers).status, 204, kind)
            self.assertEqual([series[0] for series in self.stored()], [_UP])
        self.assertEqual(self.post(two, V1_TYPE).status, 400)
        self.assertEqual(self.post(one, V2_TYPE).status, 400)
        self.assertEqual(self.stored(), [])

    def test_what_it_does_not_know_is_415(self):
        body = V2().add(_UP, [sample(1.0, 1000)]).encoded()
        for kind in ("application/json", "application/x-protobuf;proto=x.Y", "text/plain", ""):
            self.assertEqual(self.post(body, kind).status, 415, kind)
        for encoding in ("zstd", "identity", "deflate", "snappy, snappy"):
            self.assertEqual(self.post(body, encoding=encoding).status, 415, encoding)
        # No encoding is read as snappy.
        self.assertEqual(self.post(body, encoding=None).status, 204)

    def test_other_methods_are_405(self):
        for method in ("GET", "PUT", "DELETE", "HEAD"):
            self.assertEqual(self.post(b"", method=method).status, 405, method)

    def test_what_cannot_be_decoded_is_400(self):
        good = V2().add(_UP, [sample(1.0, 1000)])
        framed = b"\xff\x06\x00\x00sNaPpY\x00\x08\x00\x00abcdefgh"
        for body in (good.message(), framed, good.encoded()[:-3], good.encoded() + b"x",
                     wire.snappy(b"\xff\xff"), wire.snappy(good.message()[:-1])):
            answer = self.post(body)
            self.assertEqual(answer.status, 400, body)
            self.assert_written(answer)
        self.assertEqual(self.stored(), [])

    def test_a_first_symbol_that_is_not_empty_is_400(self):
        answer = self.post(V2(first="x").add(_UP, [sample(1.0, 1000)]).encoded())
        self.assertEqual(answer.status, 400)
        self.assert_written(answer)

    def test_what_declares_more_than_it_may_have_is_413(self):
        answer = self.post(wire.varint(1 << 31) + b"\x00")
        self.assertEqual(answer.status, 413)
        self.assert_written(answer)

    def test_an_empty_request_is_taken(self):
        answer = self.post(V2().encoded())
        self.assertEqual(answer.status, 204)
        self.assert_written(answer)

    def test_bad_series_are_refused_and_the_rest_is_kept(self):
        one = [sample(1.0, 1000)]
        for reason, labels, more in (
                ("missing_metric_name", [("job", "a")], {"samples": one}),
                ("missing_metric_name", [("__name__", ""), ("job", "a")], {"samples": one}),
                ("labels_not_sorted", [("__name__", "x"), ("b", "1"), ("a", "1")],
                 {"samples": one}),
                ("duplicate_label_names", [("__name__", "x"), ("a", "1"), ("a", "2")],
                 {"samples": one}),
                ("label_value_empty", [("__name__", "x"), ("a", "")], {"samples": one}),
                ("label_invalid", [("", "y"), ("__name__", "x")], {"samples": one}),
                ("no_samples", _UP, {}),
                ("no_samples", _UP, {"metadata": (1, "Help.", "")}),
                ("no_samples", _UP, {"exemplars": [([("a", "b")], 1.0, 1)]}),
                ("samples_and_histograms", _UP,
                 {"samples": one, "histograms": [histogram(1000)]}),
                ("label_refs_invalid", _UP, {"samples": one, "refs": [1, 2, 3]}),
                ("label_refs_invalid", _UP, {"samples": one, "refs": [1, 99]})):
            with self.subTest(reason=reason, labels=labels):
                self.assert_refused(V2().add(labels, **more), reason=reason)

    def test_bad_series_of_1_are_refused_and_the_rest_is_kept(self):
        one = [sample(1.0, 1000)]
        for reason, labels in (
                ("missing_metric_name", [("job", "a")]),
                ("missing_metric_name", [("__name__", ""), ("job", "a")]),
                ("metric_name_invalid", [("__name__", "a b")]),
                ("labels_not_sorted", [("__name__", "x"), ("b", "1"), ("a", "1")]),
                ("duplicate_label_names", [("__name__", "x"), ("a", "1"), ("a", "2")]),
                ("label_value_empty", [("__name__", "x"), ("a", "")]),
                ("label_invalid", [("", "y"), ("__name__", "x")])):
            with self.subTest(reason=reason, labels=labels):
                request = V1().add([("__name__", "good")], one).add(labels, one)
                answer = self.post(request.encoded(), V1_TYPE)
                self.assertEqual(answer.status, 400, answer)
                self.assertIn(reason, answer.body.decode())
                self.assertEqual([series[0] for series in self.stored()],
                                 [[("__name__", "good")]])

    def test_a_message_is_read_whatever_the_order_and_packing_of_its_fields(self):
        request = V2()
        request.add(_UP, [sample(1.0, 1000)])
        symbols = b"".join(wire.data(4, each) for each in request.symbols)
        answer = self.post(wire.snappy(request.series + symbols))
        self.assertEqual(answer.status, 204, answer)
        self.assertEqual(self.stored(), [(_UP, [sample(1.0, 1000)], [], [])])
        # The references one by one, and a sample before them.
        series = wire.data(2, sample(1.0, 1000)) + b"".join(
            wire.integer(1, ref) for ref in request.refs(_UP))
        answer = self.post(wire.snappy(symbols + wire.data(5, series)))
        self.assertEqual(answer.status, 204, answer)
        self.assertEqual(self.stored(), [(_UP, [sample(1.0, 1000)], [], [])])

    def test_fields_of_2_that_are_not_known_yet_do_no_harm(self):
        request = V2().add(_UP, [sample(1.0, 1000) + wire.data(99, "later")])
        answer = self.post(wire.snappy(request.message() + wire.integer(98, 7)))
        self.assertEqual(answer.status, 204, answer)
        self.assert_written(answer, samples=1)
        (labels, samples, _, _), = self.stored()
        self.assertEqual((labels, len(samples)), (_UP, 1))

    def test_samples_of_a_series_come_many_at_once(self):
        samples = [sample(float(i), 1000 + i) for i in range(3000)]
        for request, kind in ((V1(), V1_TYPE), (V2(), V2_TYPE)):
            answer = self.post(request.add(_UP, samples).encoded(), kind)
            self.assertEqual(answer.status, 204, answer)
            self.assertEqual(self.stored(), [(_UP, samples, [], [])])

    def test_good_histograms_of_every_kind_are_kept_to_the_bit(self):
        spans = wire.data(11, wire.signed(1, -2) + wire.integer(2, 1)) + wire.data(
            11, wire.signed(1, 3) + wire.integer(2, 1))
        floats = wire.data(13, struct.pack("<2d", 1.5, 2.5))
        good = [
            histogram(1000),
            histogram(1000, schema=-4), histogram(1000, schema=8),
            # Of floats, with a zero bucket and a hint.
            wire.double(2, 4.5) + wire.double(3, 9.0) + wire.signed(4, 0) + wire.double(5, 1e-9) +
            wire.double(7, 0.5) + spans + floats + wire.integer(14, 2) + wire.integer(15, 1000),
            # Buckets below zero.
            wire.integer(1, 3) + wire.double(3, -9.0) + wire.signed(4, 1) + wire.integer(6, 1) +
            wire.data(8, wire.signed(1, 0) + wire.integer(2, 1)) +
            wire.data(9, wire.zigzag(2)) + wire.integer(15, 1000),
            # Of buckets that the sender chose.
            wire.integer(1, 3) + wire.double(3, 9.0) + wire.signed(4, -53) +
            wire.data(11, wire.signed(1, 0) + wire.integer(2, 2)) +
            wire.data(12, wire.zigzag(1) + wire.zigzag(1)) + wire.integer(15, 1000) +
            wire.data(16, struct.pack("<d", 0.5)),
            # A stale one.
            wire.integer(1, 0) + wire.double(3, wire.STALE) + wire.integer(15, 1000)]
        for message in good:
            for request, kind in ((V1(), V1_TYPE), (V2(), V2_TYPE)):
                with self.subTest(kind=kind, message=message.hex()):
                    answer = self.post(request.add(_UP, histograms=[message]).encoded(), kind)
                    self.assertEqual(answer.status, 204, answer)
                    self.assertEqual(self.stored(), [(_UP, [], [], [message])])

    def test_2_is_told_what_was_written_also_when_it_shall_come_again(self):
        for status in (503, 429):
            self.store.answers = [(status, [])]
            body = V2().add(_UP, [sample(1.0, 1000 + status)]).encoded()
            answer = self.post(body)
            self.assertEqual(answer.status, status)
            self.assert_written(answer)
            answer = self.post(body)
            self.assertEqual(answer.status, 204)
            self.assert_written(answer, samples=1)

    def test_bad_histograms_are_refused(self):
        for bad, reason in (
                (histogram(1000, count=4), "native_histogram_invalid"),
                (histogram(1000, deltas=(1, -2), count=0), "native_histogram_invalid"),
                (histogram(1000, schema=9), "native_histogram_invalid_schema"),
                (histogram(1000, float_count=3.0), "native_histogram_invalid")):
            with self.subTest(reason=reason):
                self.assert_refused(V2().add(_UP, histograms=[bad]), reason=reason)

    def test_names_are_any_utf8_in_2(self):
        labels = [("__name__", "http.server duration"), ("host.name", "a b")]
        answer = self.post(V2().add(labels, [sample(1.0, 1000)]).encoded())
        self.assertEqual(answer.status, 204)
        self.assertEqual(self.stored()[0][0], labels)

    def test_values_keep_their_bits(self):
        patterns = [wire.STALE, 0x7FF8000000000001, 0xFFF8DEAD0000BEEF, 1 << 63, 1,
                    0x7FF0000000000000, 0xFFF0000000000000]
        for request, kind in ((V1(), V1_TYPE), (V2(), V2_TYPE)):
            samples = [sample(bits, 1000 + i) for i, bits in enumerate(patterns)]
            answer = self.post(request.add(_UP, samples).encoded(), kind)
            self.assertEqual(answer.status, 204)
            self.assertEqual(self.stored()[0][1], samples)

    def test_timestamps_are_kept_as_they_are(self):
        times = [0, -1, -(1 << 63), (1 << 63) - 1, 1_000]
        for request, kind in ((V1(), V1_TYPE), (V2(), V2_TYPE)):
            samples = [sample(1.0, time) for time in times]
            self.assertEqual(self.post(request.add(_UP, samples).encoded(), kind).status, 204)
            self.assertEqual(self.stored()[0][1], samples)

    def test_unknown_fields_of_1_are_kept_to_the_bit(self):
        odd = wire.data(9, "later") + wire.integer(12, 7)
        body = V1().add(_UP, [sample(1.0, 1000) + odd], more=odd).body
        self.assertEqual(self.post(wire.snappy(body), V1_TYPE).status, 204)
        self.assertEqual(self.store.take()[0].message, body)

    def test_metadata_of_2_becomes_one_entry_a_family(self):
        request = V2()
        for name in ("lat_bucket", "lat_sum", "lat_count"):
            request.add([("__name__", name)], [sample(1.0, 1)], metadata=(3, "Latency.", "s"))
        self.assertEqual(self.post(request.encoded()).status, 204)
        message = self.store.take()[0].message
        self.assertEqual(wire.all_of(message, 3),
                         [wire.integer(1, 3) + wire.data(2, "lat") + wire.data(4, "Latency.") +
                          wire.data(5, "s")])

    def test_exemplars_that_come_alone_go_to_their_series(self):
        request = V2().add(_UP, exemplars=[([("id", "1")], 2.0, 5)])
        request.add(_UP, [sample(1.0, 1000)])
        answer = self.post(request.encoded())
        self.assertEqual(answer.status, 204)
        self.assert_written(answer, samples=1, exemplars=1)
        (labels, samples, exemplars, _), = self.stored()
        self.assertEqual((labels, len(samples), len(exemplars)), (_UP, 1, 1))


class RelayTest(_Case):
    """The gateway as what sends: what the store says reaches the sender, who acts on it."""

    def setUp(self):
        super().setUp()
        self.body = V1().add(_UP, [sample(1.0, 1000)]).encoded()

    def write(self, token="red"):
        return self.post(self.body, V1_TYPE, token)

    def test_the_headers_of_1_to_the_letter(self):
        self.assertEqual(self.write().status, 204)
        got, = self.store.take()
        self.assertEqual(got.headers["Content-Type"], "application/x-protobuf")
        self.assertEqual(got.headers["Content-Encoding"], "snappy")
        self.assertEqual(got.headers["X-Prometheus-Remote-Write-Version"], "0.1.0")
        self.assertRegex(got.headers["User-Agent"], r"^insula/")
        self.assertEqual(got.headers["X-Scope-OrgID"], "red")

    def test_the_headers_of_2_to_the_letter(self):
        self.assertEqual(self.write("modern").status, 204)
        got, = self.store.take()
        self.assertEqual(got.headers["Content-Type"], V2_TYPE)
        self.assertEqual(got.headers["Content-Encoding"], "snappy")
        self.assertEqual(got.headers["X-Prometheus-Remote-Write-Version"], "2.0.0")
        self.assertEqual(got.series, [(_UP, [sample(1.0, 1000)], [], [])])

    def test_what_may_pass_is_asked_for_again(self):
        for status in (500, 502, 503, 504):
            self.store.answers = [(status, [])]
            answer = self.write()
            self.assertEqual(answer.status, 503)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
            self.assertEqual(len(self.store.take()), 1)
            self.assertEqual(self.write().status, 204)
            self.assertEqual(len(self.store.take()), 1)

    def test_retry_after_is_passed_on(self):
        soon = email.utils.formatdate(time.time() + 100, usegmt=True)
        for status, relayed in ((429, 429), (503, 503)):
            for value, least, most in (("7", 7, 7), (soon, 60, 101)):
                self.store.answers = [(status, [("Retry-After", value)])]
                answer = self.write()
                self.assertEqual(answer.status, relayed)
                self.assertGreaterEqual(int(answer.headers["Retry-After"]), least)
                self.assertLessEqual(int(answer.headers["Retry-After"]), most)

    def test_what_is_refused_for_good_is_not_sent_again(self):
        for status in (400, 404, 409, 413, 422):
            self.store.answers = [(status, [])]
            answer = self.write()
            self.assertEqual(answer.status, 400)
            self.assertNotIn("Retry-After", answer.headers)
            self.assertEqual(len(self.store.take()), 1)

    def test_a_series_keeps_its_order(self):
        for i in range(50):
            samples = [sample(1.0, 1000 + 2 * i), sample(2.0, 1001 + 2 * i)]
            body = V2().add(_UP, samples).encoded()
            self.assertEqual(self.post(body).status, 204)
        times = [dict(wire.fields(each))[2] for series in self.stored() for each in series[1]]
        self.assertEqual(times, list(range(1000, 1100)))

    def test_labels_stay_sorted_and_unique_where_some_are_added(self):
        labels = [("__name__", "up"), ("cell", "one"), ("job", "a"), ("zzz", "b")]
        for token in ("labelled", "modern-labelled"):
            for given in ([labels[0], *labels[2:]], labels):
                for request, kind in ((V1(), V1_TYPE), (V2(), V2_TYPE)):
                    answer = self.post(request.add(given, [sample(1.0, 1000)]).encoded(), kind,
                                       token)
                    self.assertEqual(answer.status, 204, answer)
                    self.assertEqual([series[0] for series in self.stored()],
                                     [sorted([*labels, ("zone", "z")])])

    def test_the_symbols_of_2_begin_with_the_empty_one_and_are_each_there_once(self):
        request = V2()
        for job in ("a", "b"):
            request.add([("__name__", "up"), ("again", "up"), ("job", job)],
                        [sample(1.0, 1000)], exemplars=[([("job", job)], 1.0, 1000)],
                        metadata=(2, "up", ""))
        for token in ("modern", "modern-labelled"):
            self.assertEqual(self.post(request.encoded(), token=token).status, 204)
            got, = self.store.take()
            self.assertTrue(got.is_v2)
            symbols = wire.all_of(got.message, 4)
            self.assertEqual(symbols[0], b"")
            self.assertEqual(len(symbols), len(set(symbols)))
            self.assertEqual([dict(series[0])["job"] for series in got.series], ["a", "b"])

    def test_what_2_has_of_a_series_comes_out_in_2(self):
        request = V2().add(_UP, [sample(1.0, 1000)], exemplars=[([("id", "x")], 2.0, 900)],
                           metadata=(2, "Whether it is up.", "s"))
        answer = self.post(request.encoded(), token="modern")
        self.assertEqual(answer.status, 204)
        self.assert_written(answer, samples=1, exemplars=1)
        got, = self.store.take()
        (labels, samples, exemplars, _), = got.series
        self.assertEqual((labels, samples), (_UP, [sample(1.0, 1000)]))
        symbols = [each.decode() for each in wire.all_of(got.message, 4)]
        exemplar = dict(wire.fields(exemplars[0]))
        self.assertEqual([symbols[ref] for ref in exemplar[1]], ["id", "x"])
        self.assertEqual((exemplar[2], exemplar[3]), (struct.pack("<d", 2.0), 900))
        metadata = dict(wire.fields(wire.all_of(wire.all_of(got.message, 5)[0], 5)[0]))
        self.assertEqual((metadata[1], symbols[metadata[3]], symbols[metadata[4]]),
                         (2, "Whether it is up.", "s"))

    def test_start_timestamps_come_out_again_in_2(self):
        request = V2().add(_UP, [sample(1.0, 1000, start=500)])
        request.add([("__name__", "h")], histograms=[histogram(1000, start=600)])
        answer = self.post(request.encoded(), token="modern")
        self.assertEqual(answer.status, 204)
        self.assert_written(answer, samples=1, histograms=1)
        got, = self.store.take()
        self.assertTrue(got.is_v2)
        self.assertEqual(got.series[0][1], [sample(1.0, 1000, start=500)])
        self.assertEqual(got.series[1][3], [histogram(1000, start=600)])


class QueueTest(_Case):
    """The gateway as what sends out of its queue, where nobody asks it to try again."""

    @classmethod
    def settings(cls):
        return {"queue": {"dir": cls.lab.path("queue"), "mode": "always"}}

    def write(self, timestamp, token="red"):
        body = V1().add(_UP, [sample(1.0, timestamp)]).encoded()
        answer = self.post(body, V1_TYPE, token)
        self.assertEqual((answer.status, answer.body), (204, b""))

    def test_what_may_pass_is_sent_again_and_later_each_time(self):
        for token, version in (("red", "0.1.0"), ("modern", "2.0.0")):
            self.store.answers = [(status, []) for status in (500, 502, 503, 504, 503)]
            self.write(1000, token)
            found = self.got(6)
            self.assertEqual(len({got.body for got in found}), 1)
            self.assertEqual({got.headers["X-Prometheus-Remote-Write-Version"] for got in found},
                             {version})
            times = [got.at for got in found]
            waits = [after - before for before, after in zip(times, times[1:])]
            # From half of to the whole of 100 ms, and twice that each time.
            for i, wait in enumerate(waits):
                self.assertGreater(wait, 0.049 * 2**i, waits)

    def test_retry_after_is_kept(self):
        for status in (429, 503):
            self.store.answers = [(status, [("Retry-After", "2")])]
            self.write(1000)
            before, after = self.got(2)
            self.assertGreaterEqual(after.at - before.at, 1.9)

    def test_what_is_refused_for_good_is_not_sent_again(self):
        for status in (400, 404, 409, 413, 422):
            self.store.answers = [(status, [])]
            self.write(status)
            self.write(1)  # Is behind it, and would wait for it.
            refused, after = self.got(2)
            self.assertEqual(refused.series[0][1], [sample(1.0, status)])
            self.assertEqual(after.series[0][1], [sample(1.0, 1)])

    def test_a_series_keeps_its_order_while_a_store_fails_on_and_off(self):
        count = 40
        self.store.answers = [(503 if i % 3 == 0 else 204, []) for i in range(count // 2)]
        for i in range(count):
            self.write(1000 + i)
        found = self.got(count + (count // 2 + 2) // 3)
        times = [dict(wire.fields(got.series[0][1][0]))[2] for got in found]
        self.assertEqual(times, sorted(times))
        self.assertEqual(sorted(set(times)), list(range(1000, 1000 + count)))


class FallbackTest(_Case):
    """A gateway of its own for each, as it remembers what a store takes."""

    def check(self, ignorant):
        self.store.takes_v2 = False
        self.store.ignorant = ignorant
        body = V2().add(_UP, [sample(1.0, 1000)]).encoded()
        answer = self.post(body, token="modern")
        self.assertEqual(answer.status, 204)
        self.assert_written(answer, samples=1)
        self.assertEqual([got.is_v2 for got in self.store.take()], [True, False])
        self.assertEqual(self.post(body, token="modern").status, 204)
        got, = self.store.take()
        self.assertFalse(got.is_v2)
        self.assertEqual(got.series, [(_UP, [sample(1.0, 1000)], [], [])])

    def test_a_store_that_says_415_gets_1(self):
        self.check(415)


class UnconfirmedTest(FallbackTest):

    def test_a_store_that_says_415_gets_1(self):
        """And so does one that takes 2.0 for an empty 1.0 request."""
        self.check(204)


class PrometheusTest(_Case):
    """A stock Prometheus, which knows 1.0 only."""

    @classmethod
    def objects(cls):
        cls.prometheus = claim_ports(1)[0]
        yield "Upstream", "prometheus", {
            "write_url": f"http://127.0.0.1:{cls.prometheus}/api/v1/write",
            "isolation": "ISOLATION_HEADER", "write_protocol": "WRITE_PROTOCOL_2"}
        yield "Tenant", "red", {"upstream_id": "prometheus"}
        yield "Binding", "red", {"token_sha256": sha256("red"), "tenant_ids": ["red"],
                                 "roles": ["ROLE_WRITE"]}

    def get(self, target):
        try:
            return send(self.prometheus, target=target)
        except OSError:
            return None

    def test_it_stores_what_comes_as_2(self):
        config = self.lab.write("prometheus.yml", "global: {scrape_interval: 1h}\n")
        self.lab.start("prometheus", [
            "/usr/bin/prometheus", f"--config.file={config}",
            f"--storage.tsdb.path={self.lab.path('tsdb')}",
            f"--web.listen-address=127.0.0.1:{self.prometheus}",
            "--web.enable-remote-write-receiver", "--enable-feature=native-histograms",
            "--log.level=warn"])
        wait_until("Prometheus", lambda: (self.get("/-/ready") or None) and
                   self.get("/-/ready").status == 200)
        now = int(time.time() * 1000)
        request = V2().add(_UP, [sample(42.0, now, start=now - 1000)],
                           metadata=(2, "Whether it is up.", ""))
        request.add([("__name__", "native")],
                    histograms=[histogram(now, start=now - 1000)])
        answer = self.post(request.encoded())
        self.assertEqual(answer.status, 204, answer)
        self.assert_written(answer, samples=1, histograms=1)
        for query, expected in (("up", "42"), ("histogram_count(native)", "3"),
                                ("histogram_sum(native)", "2.5")):
            found = json.loads(self.get(f"/api/v1/query?query={query}").body)
            self.assertEqual([each["value"][1] for each in found["data"]["result"]], [expected])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    _BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
