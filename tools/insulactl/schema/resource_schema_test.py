"""What docs/resources.schema.json says of resource files, by a validator that is
not ours."""

import json
import os
import re
import textwrap
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


# Where resource files are, and pages that show some.
_PLACES = ("README.md", "deploy", "docker", "docs", "services", "tests", "tools")
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$|<<'EOF'\n(.*?)^EOF$", re.MULTILINE | re.DOTALL)


def _files():
    for place in _PLACES:
        place = os.path.join(_TOP, place)
        if os.path.isfile(place):
            yield place
        for directory, directories, names in os.walk(place):
            directories.sort()
            for name in sorted(names):
                yield os.path.join(directory, name)


def _texts():
    """Each text that may be a resource file, with the name of its file: files, blocks of
    pages, what ConfigMaps hold."""
    for path in _files():
        name = os.path.relpath(path, _TOP)
        if path.endswith((".yaml", ".yml", ".md")):
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if not path.endswith(".md"):
                yield name, text
            for block in _BLOCK.finditer(text) if path.endswith(".md") else ():
                yield name, textwrap.dedent(block[1] or block[2])


def _is_resource(document):
    return (isinstance(document, dict) and "kind" in document
            and "apiVersion" not in document)


def _resources():
    """The resources of the tree, with the names of their files. Those of other systems,
    Kubernetes first of all, have an apiVersion."""
    for name, text in _texts():
        if name == os.path.relpath(os.path.join(_HERE, "testdata", "bad.yaml"), _TOP):
            continue
        try:
            documents = list(yaml.load_all(text, _Loader))
        except yaml.YAMLError:
            continue  # Of tests that want it so, or a piece of one.
        for document in documents:
            if _is_resource(document):
                yield name, document
            elif isinstance(document, dict) and document.get("kind") == "ConfigMap":
                for data in document.get("data", {}).values():
                    for each in yaml.load_all(data, _Loader):
                        if _is_resource(each):
                            yield name, each


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

    def test_every_resource_in_the_tree_is_valid(self):
        places = set()
        for name, document in _resources():
            places.add(name)
            with self.subTest(file=name, document=document):
                self.assertEqual([error.message for error in
                                  self.validator.iter_errors(document)], [])
        for known in ("README.md", "deploy/config/tenants.yaml", "docker/resources/tenants.yaml",
                      "docs/insulactl.md", "docs/services/tenant-registry.md"):
            self.assertIn(known, places)

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
