"""OpenAPI schemas of bodies, which are read by hand: validating millions of numbers one by one is slow."""

from typing import Any

JsonSchema = dict[str, Any]  # open content: what OpenAPI allows

_NESTED: JsonSchema = {"type": "array", "items": {}, "description": "one sample, or [N, *event]; raw units"}
_PACKED: JsonSchema = {
    "type": "object",
    "required": ["base64", "shape", "dtype"],
    "properties": {
        "base64": {"type": "string", "description": "values, little-endian, C order"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}},
        "dtype": {"enum": ["uint8", "float32", "float64"]},
    },
}
_CONDITION: JsonSchema = {
    "description": "for models with one: a class, a class a sample, numbers [C], or numbers [N, C]",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {}}],
}
_OUTPUTS: JsonSchema = {
    "type": "array",
    "items": {"enum": ["score", "is_anomaly", "strange", "mu", "logvar", "reconstruction"]},
    "description": "default: all but the reconstruction; strange is the former name of is_anomaly",
}
_DOCUMENT: JsonSchema = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "inputs": {"type": "object", "required": ["x"], "properties": {"x": {"anyOf": [_NESTED, _PACKED]}}},
        "condition": _CONDITION,
        "outputs": _OUTPUTS,
    },
    "additionalProperties": False,
}
_BYTES: JsonSchema = {"schema": {"type": "string", "format": "binary"}}
_FORM: JsonSchema = {
    "schema": {
        "type": "object",
        "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    }
}
_ANSWER: JsonSchema = {
    "type": "object",
    "required": ["model", "version", "threshold"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": ["string", "null"]},
        "threshold": {"type": "number", "description": "score above which a sample is anomalous"},
        "names": {"type": "array", "items": {"type": "string"}, "description": "of pictures, in order"},
        "warnings": {
            "type": "array",
            "items": {"type": "string"},
            "description": "only where the inputs do not look like the training data",
        },
        "score": {"type": "array", "items": {"type": "number"}},
        "is_anomaly": {"type": "array", "items": {"type": "boolean"}, "description": "score > threshold"},
        "strange": {
            "type": "array",
            "items": {"type": "boolean"},
            "deprecated": True,
            "description": "the former name of is_anomaly",
        },
        "mu": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "logvar": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "reconstruction": {"type": "array", "items": {}},
    },
}
_ERROR: JsonSchema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
_REFUSALS = {
    400: "a body or form that is cut off or broken",
    401: "no token, or the wrong one",
    404: "no such path",
    405: "another method",
    408: "a body that is too slow",
    413: "too many bytes, samples or pixels",
    415: "another Content-Type",
    422: "not for this model",
    429: "too busy, or too many requests of this client; Retry-After says when to come again",
    500: "a fault of the server, which its log explains",
    503: "out of time, or no version in use",
}


def _refused(*statuses: int) -> dict[int | str, JsonSchema]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": _REFUSALS[status], "content": content} for status in sorted(statuses)}


REFUSED_ROUTING = _refused(405, 500)
READINESS = _refused(405, 500, 503)
DESCRIBED = _refused(401, 405, 429, 500)
METRICS: dict[int | str, JsonSchema] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}},
    **DESCRIBED,
}
_RESPONSES: JsonSchema = {
    "200": {"description": "in the order of the samples", "content": {"application/json": {"schema": _ANSWER}}},
    **{str(status): told for status, told in _refused(*_REFUSALS.keys() - {404}).items()},
}


def secured(description: JsonSchema, token: bool) -> JsonSchema:
    """The description with its security scheme: a bearer token for what refuses with 401, where one is asked for."""
    scheme = {"type": "http", "scheme": "bearer"}
    components = description.get("components", {}) | ({"securitySchemes": {"token": scheme}} if token else {})
    paths = {
        path: {
            method: operation | ({"security": [{"token": []}]} if token and "401" in operation["responses"] else {})
            for method, operation in operations.items()
        }
        for path, operations in description["paths"].items()
    }
    return description | {"components": components, "paths": paths}


NUMBERS: JsonSchema = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _DOCUMENT},
            "application/x-npy": _BYTES,
            "application/octet-stream": _BYTES,
        },
    },
    "responses": _RESPONSES,
}
PICTURES: JsonSchema = {
    "requestBody": {
        "required": True,
        "content": {
            **{f"image/{kind}": _BYTES for kind in ("png", "jpeg", "tiff")},
            "application/octet-stream": _BYTES,
            "multipart/form-data": _FORM,
        },
    },
    "responses": _RESPONSES,
}
