"""What schemathesis cannot know of itself: the hub's media types, and names of what is there."""

import json
import os

import schemathesis

# For each path, the parameters of a thing that exists.
KNOWN = json.loads(os.environ["RINGFORT_KNOWN"])


@schemathesis.serializer("application/cbor", "application/suit-envelope+cose")
def as_it_is(context, value):
    return getattr(value, "data", value)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Every second request is about a thing that exists. The operator does not end his own access."""
    known = KNOWN.get(context.operation.path)
    if known and path_parameters and sum(map(ord, str(path_parameters))) % 2:
        return {**path_parameters, **known}
    if path_parameters and path_parameters.get("fingerprint") == KNOWN["operator"]:
        return {"fingerprint": "00" * 32}
    return path_parameters
