#!/usr/bin/env python3
"""Validates what the code writes against the CDDL in docs/formats.md, with the package `pycddl`.

The objects are the seeds of the fuzz targets, which the code wrote, and the examples in
docs/device-api.md. Each has to match its own rule; and, so that a checker or a rule which accepts
everything is noticed, none may match the rule of another object, nor its own with a field that is
not defined.

The package misreads `.cbor` inside an array, so of a signed object the protected headers and the
payload are validated one by one. It also takes an array for a choice of maps, so arrays are not
held against the rules of maps.
"""

import pathlib
import re
import sys

import cbor2
from pycddl import Schema, ValidationError

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEEDS = ROOT / "fuzz" / "seeds"

RULES = {
    "check-in": ["messages/check-in", "messages/check-in-first"],
    "report": ["messages/report"],
    "time-request": ["messages/time-request"],
    "problem": ["messages/problem"],
    "identity-request": ["messages/identity-request"],
    "identity-answer": ["messages/identity"],
    "link": ["messages/link"],
    "anchors": ["anchors/first", "anchors/second", "anchors/unsigned"],
    "batch": ["batch/first", "batch/second"],
    "token-claims": ["token/time", "token/install", "token/offline", "token/wipe"],
    "command-claims": ["token/wipe-operational", "token/debug-unlock", "token/decommission"],
}
HEADERS = {
    "anchors": "anchors-header",
    "batch": "batch-header",
    "token-claims": "token-header",
    "command-claims": "command-header",
}
EXAMPLES = {
    "time-request": ["time-request"],
    "token-claims": ["signed-time", "order"],
    "check-in": ["check-in"],
    "report": ["report-confirmed", "report-reverted"],
    "problem": ["problem"],
}
def matches(schema, raw):
    try:
        schema.validate_cbor(raw)
        return True
    except ValidationError:
        return False


def with_unknown_field(raw):
    value = cbor2.loads(raw)
    return cbor2.dumps([*value, 0] if isinstance(value, list) else {**value, 99: 0})


def opened(rule, raw):
    """The parts of an object, each with its rule; the first is what it says."""
    value = cbor2.loads(raw)
    if not isinstance(value, cbor2.CBORTag):
        return [(rule, raw)]
    protected, unprotected, payload, last = value.value
    assert unprotected == {}, unprotected
    parts = [(rule, payload), (HEADERS[rule], protected)]
    if value.tag == 98:
        for header, empty, signature in last:
            assert empty == {} and len(signature) == 64
            parts.append(("signature-header", header))
    else:
        assert value.tag == 18 and len(last) == 64
    return parts


def main():
    formats = (ROOT / "docs" / "formats.md").read_text()
    grammar = "\n".join(re.findall(r"```cddl\n(.*?)```", formats, re.S))
    # The first rule of a grammar is what is matched.
    names = [*RULES, *HEADERS.values(), "signature-header"]
    schemas = {rule: Schema(f"start = {rule}\n{grammar}") for rule in names}

    objects = []
    for rule, seeds in RULES.items():
        objects += [(rule, name, (SEEDS / name).read_bytes()) for name in seeds]
    api = (ROOT / "docs" / "device-api.md").read_text()
    for rule, examples in EXAMPLES.items():
        for name in examples:
            block = re.search(rf"<!-- example {name} -->\n```\n(.*?)```", api, re.S).group(1)
            objects.append((rule, f"example {name}", bytes.fromhex(block)))

    parts = 0
    for kind, name, whole in objects:
        for rule, raw in opened(kind, whole):
            parts += 1
            assert matches(schemas[rule], raw), f"{name} does not match {rule}"
            rivals = [] if rule == "link" else [other for other in schemas if other != rule]
            others = [other for other in rivals if matches(schemas[other], raw)]
            assert not others, f"{name}: {rule} also matches {others}"
            assert not matches(schemas[rule], with_unknown_field(raw)), f"{name}: {rule} is open"
    print(f"  {len(objects)} objects in {parts} parts match their rules and no others")


if __name__ == "__main__":
    sys.exit(main())
