"""JSON schemas against the official test suite and JSON Schema Bench."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llamakit.core.grammar.grammar import Grammar
from llamakit.core.grammar.schema_document import SchemaError
from llamakit.core.grammar.schema_rules import schema_rules

SHARED = Path(__file__).parents[4] / "shared" / "assets"
SUITE = SHARED / "json-schema-test-suite" / "tests" / "draft2020-12"
BENCH = SHARED / "jsonschemabench"

# Files of the suite, and what else of it is not so here.
REFUSED = {
    "refRemote": "fetched",  # nothing is fetched
    "cross-draft": "fetched",
    "dynamicRef": "fetched|more than one such",
    "defs": "fetched",
    "ref": "fetched",
    "multipleOf": "more than 20000 states",  # of 0.123456789
    "unevaluatedItems": "more than one such",
    "unevaluatedProperties": "more than one such",
    "uniqueItems": "list of constants",
    "format": "the format .* is not supported",
    "ecmascript-regex": "the format regex is not supported",
    "regex": "the format regex is not supported",
    "idn-email": "the format idn-email is not supported",
    "idn-hostname": "the format idn-hostname is not supported",
}
OTHERWISE = {
    "format": "is only an annotation by default",  # formats are held to
    "vocabulary": "no validation: invalid number",  # there are no other vocabularies
    "float-overflow": "valid if optional overflow handling",  # no exponents where multipleOf is said
    "hostname": "A-label (punycode)",  # no Punycode
    "time": "valid leap second",  # only at 23:59:60 UTC, not elsewhere at the same moment
    "date-time": "with a leap second, with minus offset",
}

needs_suite = pytest.mark.skipif(not SUITE.exists(), reason="needs ../shared/assets/json-schema-test-suite")
needs_bench = pytest.mark.skipif(not BENCH.exists(), reason="needs ../shared/assets/jsonschemabench")


@needs_suite
@pytest.mark.parametrize("path", sorted(SUITE.rglob("*.json")), ids=lambda path: str(path.relative_to(SUITE)))
def test_every_schema_of_the_suite_is_held_to_or_refused(path: Path) -> None:
    wrong = []
    for group in json.loads(path.read_text()):
        try:
            grammar = Grammar(schema_rules(group["schema"]))
        except SchemaError as error:
            if "no JSON value fits" in str(error):
                wrong += [test["description"] for test in group["tests"] if test["valid"]]
                continue
            assert re.search(REFUSED.get(path.stem, "\0"), str(error)), str(error)
            continue
        for test in group["tests"]:
            name = f"{group['description']}: {test['description']}"
            is_known = OTHERWISE.get(path.stem, "\0") in name
            if grammar.matches(json.dumps(test["data"])) != test["valid"] and not is_known:
                wrong.append(name)
    assert wrong == []


@needs_bench
@pytest.mark.parametrize("first", "ABCDEFGHJKMSW")
def test_every_instance_of_the_bench_is_judged_rightly(first: str) -> None:
    wrong = []
    for path in sorted((BENCH / "maskbench").glob(f"{first}*.json")):
        content = json.loads(path.read_text())
        grammar = Grammar(schema_rules(content["schema"]))
        for test in content["tests"]:
            if grammar.matches(json.dumps(test["data"])) != test["valid"]:
                wrong.append(f"{path.stem}: {test['data']}")
    assert wrong == []
