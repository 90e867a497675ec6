#!/usr/bin/python3
"""compose_test.py BIN_DIR

docker-compose.yml and the files that it mounts agree with each other, with the
binaries of BIN_DIR, and with docker/Dockerfile. Nothing is started in containers.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import constellation as tree  # noqa: E402

BIN = ""  # Of the command line.
CONFIG = "/etc/insula/config.yaml"
# Ports of what is not ours.
OTHERS = {"store": {9090}, "teams": {9090}, "node-exporter": {9100}, "grafana": {3000}}


class ComposeTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.compose = tree.compose()
        cls.services = cls.compose["services"]

    def config(self, name):
        return tree.load(tree.mounted(self.services[name], CONFIG))

    def ports(self, name):
        if name in OTHERS:
            return OTHERS[name]
        return {port for _, port in tree.listening(self.config(name))}

    def test_docker_compose_has_nothing_to_say_about_the_file(self):
        result = subprocess.run([tree.DOCKER_COMPOSE, "config", "-q"], cwd=tree.TOP, text=True,
                                capture_output=True, env={"PATH": os.environ["PATH"]})
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_the_file_names_no_project(self):
        # docker-compose 1.29 refuses a top-level name.
        self.assertNotIn("name", tree.load("docker-compose.yml"))

    def test_every_service_is_built_from_the_one_dockerfile(self):
        for name in tree.SERVICES:
            with self.subTest(name):
                build = self.services[name]["build"]
                self.assertEqual(build["dockerfile"], "docker/Dockerfile")
                self.assertEqual(build["args"]["SERVICE"], name)
                self.assertRegex(self.services[name]["image"], rf"^insula/{name}:")

    def test_no_container_has_rights_that_it_does_not_need(self):
        for name, service in self.services.items():
            with self.subTest(name):
                user, _, _ = service["user"].partition(":")
                self.assertGreater(int(user), 0)
                self.assertIs(service["read_only"], True)
                self.assertEqual(service["cap_drop"], ["ALL"])
                self.assertNotIn("cap_add", service)
                self.assertEqual(service["security_opt"], ["no-new-privileges:true"])
                self.assertNotIn("privileged", service)
                self.assertNotEqual(service.get("network_mode"), "host")

    def test_ports_are_published_on_loopback_and_served(self):
        for name, service in self.services.items():
            for text in service.get("ports", []):
                with self.subTest(name, port=text):
                    host, _, port = text.removesuffix("/tcp").split(":")
                    self.assertEqual(host, "127.0.0.1")
                    self.assertIn(int(port), self.ports(name))

    def test_services_listen_where_other_containers_reach_them(self):
        for name in tree.SERVICES:
            for host, port in tree.listening(self.config(name)):
                with self.subTest(name, port=port):
                    self.assertEqual(host, "0.0.0.0")

    def test_mounted_paths_are_there_and_cannot_be_written(self):
        for name, service in self.services.items():
            for source, target, mode in tree.mounts(service):
                with self.subTest(name, target=target):
                    if source.startswith("/"):
                        self.assertTrue(os.path.exists(source), source)
                        self.assertEqual(mode, "ro")
                    else:
                        self.assertIn(source, self.compose["volumes"])

    def test_every_volume_is_used_and_has_one_writer(self):
        writers = {volume: [] for volume in self.compose["volumes"]}
        for name, service in self.services.items():
            for source, _, mode in tree.mounts(service):
                if not source.startswith("/") and mode == "rw":
                    writers[source].append(name)
        for volume, names in writers.items():
            with self.subTest(volume):
                self.assertEqual(len(names), 1, names)

    def test_a_container_starts_after_those_that_it_needs_are_healthy(self):
        order = {}
        for name, service in self.services.items():
            self.assertIn("test", service["healthcheck"], name)
            needs = service.get("depends_on", {})
            for needed, how in needs.items():
                with self.subTest(name, needs=needed):
                    self.assertEqual(how["condition"], "service_healthy")
            order[name] = set(needs)
        while order:
            ready = [name for name, needs in order.items() if not needs]
            self.assertTrue(ready, f"a circle in depends_on: {order}")
            for name in ready:
                del order[name]
            for needs in order.values():
                needs.difference_update(ready)

    def test_health_checks_of_services_use_their_configuration(self):
        for name in tree.SERVICES:
            with self.subTest(name):
                self.assertEqual(self.services[name]["healthcheck"]["test"],
                                 ["CMD", "insula-service", "health", "--ready",
                                  f"--config={CONFIG}"])

    def test_services_take_their_configuration(self):
        for name in tree.SERVICES:
            with self.subTest(name):
                path = tree.mounted(self.services[name], CONFIG)
                result = subprocess.run(
                    [os.path.join(BIN, name), "--config", path, "--check-config"],
                    text=True, capture_output=True, env={})
                self.assertEqual(result.returncode, 0, result.stderr)

    def test_services_have_the_certificates_that_they_name(self):
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run([os.path.join(tree.TOP, "tools", "dev-ca"), "--shared", directory],
                           check=True, capture_output=True)
            for name in tree.SERVICES:
                internal = self.config(name)["internal"]
                mounted = tree.mounted(self.services[name], os.path.dirname(internal["cert_file"]))
                self.assertEqual(mounted, os.path.join(tree.TOP, "docker", "tls", name))
                for key in ("cert_file", "key_file", "ca_file"):
                    made = os.path.join(directory, name, os.path.basename(internal[key]))
                    with self.subTest(name, key=key):
                        self.assertTrue(os.path.exists(made), made)
            admin = subprocess.run(
                ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in",
                 os.path.join(directory, "admin", "tls.crt")],
                check=True, capture_output=True, text=True).stdout
            self.assertIn(f"URI:{self.config('tenant-registry')['internal']['admins'][0]}", admin)

    def test_what_is_named_in_configurations_can_be_reached(self):
        """Whoever connects to host:port shares a network with a container of that
        name that listens there."""
        asks = [(name, self.config(name)) for name in tree.SERVICES]
        asks += [("store", tree.load("docker/prometheus/store.yml")),
                 ("teams", tree.load("docker/prometheus/teams.yml")),
                 ("grafana", tree.load(
                     "deploy/grafana/provisioning/datasources/insula.yaml"))]
        for resource in self.resources():
            spec = resource["spec"]
            asked_by = {"Upstream": ("ingest-gateway", "query-frontend"),
                        "RuleTarget": ("rule-sync",),
                        "Job": ("federation-pusher",)}.get(resource["kind"], ())
            asks += [(name, spec) for name in asked_by]
        seen = 0
        for name, named in asks:
            for host, port in tree.addresses(named):
                with self.subTest(name, asks=f"{host}:{port}"):
                    seen += 1
                    self.assertIn(host, self.services)
                    self.assertIn(port, self.ports(host))
                    self.assertTrue(set(self.services[name]["networks"]) &
                                    set(self.services[host]["networks"]))
        self.assertGreater(seen, 15)

    def test_a_tenant_can_not_reach_what_is_unprotected(self):
        for name in ("tenant-registry", "rule-sync", "store"):
            with self.subTest(name):
                self.assertEqual(list(self.services[name]["networks"]), ["inside"])
        for name in ("teams", "node-exporter"):
            with self.subTest(name):
                self.assertEqual(list(self.services[name]["networks"]), ["edge"])

    def resources(self):
        path = self.config("tenant-registry")["sources"]["files"][0]
        return list(yaml.safe_load_all(
            tree.read(tree.mounted(self.services["tenant-registry"], path))))

    def test_tokens_are_those_of_the_bindings(self):
        bindings = {each["spec"]["token_sha256"]: each["spec"]
                    for each in self.resources() if each["kind"] == "Binding"}
        tokens = {}
        sources = tree.load("deploy/grafana/provisioning/datasources/insula.yaml")
        for each in sources["datasources"]:
            if "secureJsonData" in each:
                header = each["secureJsonData"]["httpHeaderValue1"]
                self.assertRegex(header, r"^Bearer \S+$")
                tokens[header.removeprefix("Bearer ")] = "ROLE_READ"
        for each in tree.load("docker/prometheus/teams.yml")["remote_write"]:
            tokens[each["authorization"]["credentials"]] = "ROLE_WRITE"
        path = self.config("federation-pusher")["gateway"]["token_file"]
        token = tree.read(tree.mounted(self.services["federation-pusher"], path))
        tokens[token.strip()] = "ROLE_WRITE"
        for token, role in tokens.items():
            with self.subTest(token):
                binding = bindings.pop(hashlib.sha256(token.encode()).hexdigest())
                self.assertIn(role, binding["roles"])
        self.assertEqual(bindings, {}, "bindings whose token nobody uses")

    def test_the_registry_takes_all_resources(self):
        config = self.config("tenant-registry")
        with tempfile.TemporaryDirectory() as directory:
            config["sources"]["files"] = [
                tree.mounted(self.services["tenant-registry"], path)
                for path in config["sources"]["files"]]
            config["storage"]["path"] = os.path.join(directory, "registry.db")
            config["grpc"]["listen_address"] = "127.0.0.1:0"
            del config["internal"]
            config["insecure_internal"] = True
            config["admin"]["listen_address"] = "127.0.0.1:0"
            ports = os.path.join(directory, "ports")
            with open(os.path.join(directory, "config.yaml"), "w") as file:
                yaml.safe_dump(config, file)
            with open(os.path.join(directory, "log"), "w+") as log, subprocess.Popen(
                    [os.path.join(BIN, "tenant-registry"), "--config", file.name,
                     "--ports-file", ports], stderr=log, env={}) as registry:
                try:
                    metrics = self.metrics_of(registry, ports)
                finally:
                    registry.terminate()
                registry.wait(30)
                log.seek(0)
                self.assertIn("\ntenant_registry_source_errors 0\n", metrics, log.read())
        objects = sum(map(int, re.findall(r"^tenant_registry_objects\{.*\} (\d+)$", metrics,
                                          re.MULTILINE)))
        self.assertEqual(objects, len(self.resources()))

    def metrics_of(self, process, ports):
        """The metrics page of a service, once it listens."""
        deadline = time.monotonic() + 30
        while not os.path.exists(ports):
            self.assertIsNone(process.poll(), "it ended")
            self.assertLess(time.monotonic(), deadline, "it does not listen")
            time.sleep(0.01)
        with open(ports) as file:
            addresses = dict(line.split() for line in file)
        with urllib.request.urlopen(f"http://{addresses['admin']}/metrics",
                                    timeout=10) as answer:
            return answer.read().decode()

    def test_prometheus_takes_its_configurations(self):
        for name in ("store", "teams"):
            with self.subTest(name):
                command = self.services[name]["command"]
                path, = [each.removeprefix("--config.file=") for each in command
                         if each.startswith("--config.file=")]
                result = subprocess.run(
                    ["promtool", "check", "config",
                     tree.mounted(self.services[name], path)],
                    text=True, capture_output=True)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_the_store_loads_the_alerts_and_watches_every_service(self):
        store = tree.load("docker/prometheus/store.yml")
        directory = tree.mounted(self.services["store"],
                                 os.path.dirname(store["rule_files"][0]))
        self.assertIn("alerts.yml", os.listdir(directory))
        watched = dict(tree.addresses(store["scrape_configs"]))
        self.assertEqual(set(watched), set(tree.SERVICES))
        for name, port in watched.items():
            with self.subTest(name):
                admin = self.config(name)["admin"]["listen_address"]
                self.assertEqual(admin, f"0.0.0.0:{port}")


class DockerfileTest(unittest.TestCase):

    def setUp(self):
        self.text = tree.read("docker/Dockerfile")

    def test_it_builds_exactly_the_services_that_there_are(self):
        built = re.search(r"--target((?:\s|\\|[a-z-])+)\n", self.text).group(1)
        declared = re.findall(r"^add_subdirectory\((\w+)\)",
                              tree.read("services/CMakeLists.txt"), re.MULTILINE)
        self.assertEqual(sorted(built.replace("\\", " ").split()),
                         sorted([*tree.SERVICES, "insulactl"]))
        self.assertEqual(sorted(name.replace("_", "-") for name in declared),
                         sorted(tree.SERVICES))

    def test_every_image_has_insulactl(self):
        last = self.text[self.text.rindex("\nFROM "):]
        self.assertIn("COPY --from=build /out/bin/insulactl /usr/local/bin/insulactl\n",
                      last[:last.index("ARG SERVICE")])

    def test_commands_have_no_shell(self):
        for word in ("ENTRYPOINT", "CMD"):
            for line in re.findall(rf"^\s*{word} (.*)$", self.text, re.MULTILINE):
                with self.subTest(line):
                    self.assertRegex(line, r'^\["')

    def test_the_last_stage_runs_as_a_number_that_is_not_root(self):
        last = self.text[self.text.rindex("\nFROM "):]
        self.assertEqual(re.findall(r"^USER (.*)$", last, re.MULTILINE), ["65532:65532"])

    def test_what_it_copies_is_not_ignored(self):
        kept = [line[1:] for line in tree.read(".dockerignore").splitlines()
                if line.startswith("!")]
        for line in re.findall(r"^COPY (?!--from)(.*)$", self.text, re.MULTILINE):
            for source in line.split()[:-1]:
                source = source.replace("${SERVICE}", tree.SERVICES[0])
                with self.subTest(source):
                    self.assertTrue(os.path.exists(os.path.join(tree.TOP, source)))
                    self.assertTrue(source == "." or any(
                        (source + "/").startswith(each + "/") for each in kept))
        for each in kept:
            with self.subTest(each):
                self.assertTrue(os.path.exists(os.path.join(tree.TOP, each)))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main()
