"""openstack_test BIN_DIR [unittest arguments]

The OpenStack client, unchanged, asks the query-frontend: it logs in to Keystone, finds the
query-frontend in the catalog as service `metric-storage`, and sends its token.
"""

import json
import os
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

from insula import Insula  # noqa: E402
from keystone import Keystone  # noqa: E402
from keystone_row import PASSWORDS, set_up  # noqa: E402
from processes import PATIENCE, TOP, CannotRun, Lab  # noqa: E402

_BIN = ""
_CLIENT = os.path.join(TOP, "build", "identity", "openstack", "bin", "openstack")


class OpenstackTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(_CLIENT):
            raise CannotRun(f"there is no {_CLIENT}: tools/setup --identity")
        cls.lab = cls.enterClassContext(Lab())
        cls.keystone = Keystone(cls.lab)
        projects = set_up(cls.keystone)
        cls.insula = Insula(cls.lab, _BIN)
        url = cls.keystone.url
        for name in ("red", "blue"):
            cls.insula.bind(f"project-{name}", {"keystone": {
                "auth_url": url, "project_id": projects[name]}}, (name,))
        cls.insula.start({"api": {"bearer": False, "keystone": {
            "auth_url": url, "user_name": "insula", "project_name": "service",
            "password_file": cls.lab.write("password", PASSWORDS["insula"]),
            "recheck_interval": "2s"}}})
        port = cls.insula.frontend.ports["api"]
        cls.keystone.create_endpoint("metric-storage", "insula", f"http://127.0.0.1:{port}")

    def client(self, user, project, *command, code=0):
        run = subprocess.run(
            [_CLIENT, *command], capture_output=True, text=True, timeout=PATIENCE,
            cwd=self.lab.directory, env={
                "PATH": "/usr/bin:/bin", "HOME": self.lab.directory,
                "OS_AUTH_URL": self.keystone.url, "OS_IDENTITY_API_VERSION": "3",
                "OS_USERNAME": user, "OS_PASSWORD": PASSWORDS[user],
                "OS_PROJECT_NAME": project, "OS_USER_DOMAIN_ID": "default",
                "OS_PROJECT_DOMAIN_ID": "default", "OS_REGION_NAME": "one"})
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run

    def rows(self, *arguments):
        return json.loads(self.client(*arguments, "-f", "json").stdout)

    def test_a_user_sees_the_series_of_the_own_project(self):
        for user, project in (("alice", "red"), ("bob", "blue")):
            rows = self.rows(user, project, "metric", "query", "up")
            self.assertEqual({row["namespace"] for row in rows}, {project}, rows)

    def test_a_query_for_another_project_finds_nothing(self):
        rows = self.rows("alice", "red", "metric", "query", 'up{namespace="blue"}')
        self.assertEqual(rows, [])

    def test_metrics_are_listed_and_shown(self):
        names = {row["metric_name"] for row in
                 self.rows("alice", "red", "metric", "list")}
        self.assertIn("up", names)
        rows = self.rows("bob", "blue", "metric", "show", "up")
        self.assertEqual({row["namespace"] for row in rows}, {"blue"}, rows)

    def test_what_only_the_store_may_be_asked_is_refused(self):
        run = self.client("alice", "red", "metric", "delete", "up", code=1)
        self.assertRegex(run.stderr, "HTTP 40[345]")

    def test_a_project_that_no_binding_names_is_refused(self):
        run = self.client("insula", "service", "metric", "query", "up", code=1)
        self.assertIn("HTTP 403", run.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    _BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main()
