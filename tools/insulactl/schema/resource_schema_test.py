"""What docs/resources.schema.json says of resource files, by a validator that is
not ours."""

import json
import os
import re
import unittest

import jsonschema
import yaml

_HERE = os.path.dirname(os.path.abspath(__file__))
_TOP = os.path.join(_HERE, "..", "..", "..")


class _Loader(yaml.SafeLoader):
    """Without dates, as the YAML of editors is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in resolvers
            if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
# 1e4 is a number in YAML 1.2.
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[0-9]+e[0-9]+$"),
                              list("0123456789"))


def _documents(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.load_all(file, _Loader))


class ResourceSchemaTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(_TOP, "docs", "resources.schema.json"),
                  encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schema)
        cls.validator = jsonschema.Draft202012Validator(schema)

    def _check_good(self, path):
        for document in _documents(path):
            with self.subTest(document=document):
                self.assertEqual([error.message for error in
                                  self.validator.iter_errors(document)], [])

    def test_good_examples_are_valid(self):
        self._check_good(os.path.join(_HERE, "testdata", "good.yaml"))

    def test_the_sample_of_the_deployment_is_valid(self):
        self._check_good(os.path.join(_TOP, "deploy", "config", "tenants.yaml"))

    def test_what_insulactl_converts_is_valid(self):
        examples = os.path.join(_TOP, "tools", "insulactl", "convert", "testdata")
        for name in sorted(os.listdir(examples)):
            with open(os.path.join(examples, name, "expected.txt"),
                      encoding="utf-8") as file:
                text = file.read()
            resources = text.split("==== resources.yaml ====\n")[1].split("\n==== ")[0]
            for document in yaml.load_all(resources, _Loader):
                with self.subTest(example=name, document=document):
                    self.assertEqual([error.message for error in
                                      self.validator.iter_errors(document)], [])

    def test_bad_examples_are_not_valid(self):
        for document in _documents(os.path.join(_HERE, "testdata", "bad.yaml")):
            with self.subTest(document=document):
                self.assertFalse(self.validator.is_valid(document))


if __name__ == "__main__":
    unittest.main()
