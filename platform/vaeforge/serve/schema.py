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
    "401": "no token, or the wrong one",
    "413": "too many bytes or samples",
    "415": "another Content-Type",
    "422": "not for this model",
    "429": "too busy",
    "503": "out of time",
}
_RESPONSES: JsonSchema = {
    "200": {"description": "in the order of the samples", "content": {"application/json": {"schema": _ANSWER}}},
    **{
        status: {"description": text, "content": {"application/json": {"schema": _ERROR}}}
        for status, text in _REFUSALS.items()
    },
}

NUMBERS: JsonSchema = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": _DOCUMENT}}},
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
