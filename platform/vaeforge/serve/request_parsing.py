"""Parsing of requests: samples as JSON numbers, base64 or images, checked against the contract before the model runs.

Shapes: N samples; x float32 [N, *event], condition float32 [N, C].
"""

import base64
import binascii
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from vaeforge.data.decoding import is_counted_slowly, pixels_in
from vaeforge.data.picture_reading import PictureReading
from vaeforge.errors import ConfigError, DataError, nearest
from vaeforge.package.contract import Contract
from vaeforge.package.inputs import condition_of, made_of_whole, open_inputs, picture_to_event, reading_for, samples_of
from vaeforge.serve.json_numbers import require_numbers, with_array
from vaeforge.serve.settings import RequestLimits

OUTPUTS = ("score", "is_anomaly", "strange", "mu", "logvar", "reconstruction")
STANDARD = ("score", "is_anomaly", "strange", "mu", "logvar")  # strange: the former name of is_anomaly
TYPES = ("uint8", "float32", "float64")
SAMPLES = "inputs.x"
LIGHT_BYTES = 2**20  # of a body, read in a few ten milliseconds whatever it holds
QUICK_BYTES = 2**22  # of one, read in ten where it holds arrays of numbers alone
LIGHT_WALK = 2**16
LIGHT_PIXELS = 4_000_000


class TooMuchError(DataError):
    """More samples than a request may have."""


@dataclass(frozen=True)
class PredictRequest:
    """Samples, their condition (none for models without), which outputs are wanted, names of pictures, and the sizes of
    pictures that samples were made of.
    """

    x: NDArray[np.float32]
    condition: NDArray[np.float32] | None
    outputs: tuple[str, ...]
    names: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()


def read_numbers(content: bytes, contract: Contract, most: int, quick: dict[str, Any] | None = None) -> PredictRequest:
    """The request in a JSON document `{"inputs": {"x": …}, "condition": …, "outputs": […]}`.

    `x` is a nested list, or `{"base64": …, "shape": […], "dtype": …}` with little-endian values in C order. The
    condition may lie beside `x`, where MLflow's servers have it.

    Args:
        content: the document.
        contract: of the model.
        most: samples that a request may have.
        quick: what `with_array` has made of it, if it was asked before.

    Raises:
        DataError: if it is not JSON, or not such a document for this model.
        TooMuchError: if there are more than `most` samples.
    """
    quick = quick or with_array(content, contract.event_shape)
    document = _object("body", quick or _parsed(content), ("inputs", "condition", "outputs"))
    inputs = _object("inputs", document.get("inputs"), ("x", "condition"))
    require_numbers(content, document, inputs)
    if "x" not in inputs:
        raise DataError(f"{SAMPLES}: is missing, must be samples of shape [N, {_listed(contract.event_shape)}]")
    if "condition" in document and "condition" in inputs:
        raise DataError("condition: occurs twice, must be beside `inputs` or in it")
    outputs = outputs_of(document.get("outputs"))
    x = samples_of(_values(inputs["x"], contract, most), contract, SAMPLES)
    require_at_most(len(x), most)
    given = document.get("condition", inputs.get("condition"))
    return PredictRequest(x, condition_of(given, contract, len(x)), outputs)


@dataclass(frozen=True)
class PictureQuestion:
    """What is asked about pictures beside themselves.

    Attributes:
        label: class of all of them; none for models without classes.
        prepared: each picture is a sample already.
        outputs: names of those that are wanted.
        reading: how the pictures are read.
    """

    label: str | None
    prepared: bool
    outputs: tuple[str, ...]
    reading: PictureReading


def read_pictures(
    files: Sequence[tuple[str, bytes]], contract: Contract, asked: PictureQuestion, limits: RequestLimits
) -> PredictRequest:
    """The request in encoded images by name, all of one class where the model has classes.

    Raises:
        DataError: naming the picture that cannot be read, or whatever the model does not take.
        TooMuchError: if there are more samples, or pixels by the pictures' headers, than `limits` allow.
    """
    label, prepared = asked.label, asked.prepared
    condition_of(label, contract, len(files), "label")  # refused before pictures are decoded
    require_pixels(files, limits)
    events, names, sizes = list[NDArray[Any]](), list[str](), list[tuple[int, int]]()
    for name, content in files:
        try:
            pictures = open_inputs(Path(name), contract, asked.reading, content)
            require_at_most(len(events) + len(pictures), limits.samples)
            events += [picture_to_event(picture, contract, prepared) for picture in pictures]
            sizes += [(picture.shape[1], picture.shape[0]) for picture in pictures]
            names += [name] if len(pictures) == 1 else [f"{name}/{frame}" for frame in range(len(pictures))]
        except DataError as error:
            text = str(error)
            raise DataError(text if text.startswith(name) else f"{name}: {text}") from None
    x = samples_of(np.stack(events), contract)
    condition = condition_of(label, contract, len(x), "label")
    whole = not prepared and made_of_whole(contract)
    return PredictRequest(x, condition, asked.outputs, tuple(names), tuple(sizes) if whole else ())


def require_pixels(files: Sequence[tuple[str, bytes]], limits: RequestLimits) -> int:
    """The pixels of all pictures, by their headers.

    Raises:
        DataError: naming the picture whose header cannot be read.
        TooMuchError: naming the one that brings the request beyond its limit.
    """
    pixels = 0
    for name, content in files:
        pixels += pixels_in(Path(name), io.BytesIO(content))
        if pixels > limits.pixels:
            raise TooMuchError(
                f"{name}: brings the request to {pixels} pixels, must be at most {limits.pixels}; send several requests"
            )
    return pixels


def take_long(files: Sequence[tuple[str, bytes]], limits: RequestLimits) -> bool:
    """Whether pictures take long to decode: by their bytes, and by their pixels where that is quickly known.

    Raises:
        DataError, TooMuchError: as `require_pixels`.
    """
    if sum(len(content) for _, content in files) > LIGHT_BYTES:
        return True
    if any(len(content) > LIGHT_WALK and is_counted_slowly(Path(name), io.BytesIO(content)) for name, content in files):
        return True  # it may have so many pages, or tags, that even their headers take long
    return require_pixels(files, limits) > LIGHT_PIXELS


def flag_of(name: str, text: str | None) -> bool:
    """Whether the query parameter `name` says `true`; unset and empty mean no.

    Raises:
        DataError: if it is neither `true` nor `false`.
    """
    given = (text or "").strip().lower()
    if given not in ("", "true", "false"):
        raise DataError(f"{name}: got {text!r}, must be true or false")
    return given == "true"


def stated_reading(
    contract: Contract, white: str | None, black: str | None, pages: str | None = None, channels: str | None = None
) -> PictureReading:
    """How pictures are read, with the query parameters of these names where they are given.

    Raises:
        DataError: if white and black are no numbers, or black is not below white; if pages are no such thing.
    """
    try:
        stated = reading_for(contract, float(white) if white else None, float(black) if black else 0.0)
    except (ValueError, ConfigError) as error:
        raise DataError(
            f"white, black: got {white!r}, {black!r}, must be numbers, black below white ({error})"
        ) from None
    try:
        return replace(stated, pages=pages or stated.pages, channels=tuple(names_of(channels) or stated.channels))
    except ConfigError as error:
        raise DataError(str(error).replace("--", "")) from None


def names_of(text: str | None) -> list[str] | None:
    """Names of a query parameter, separated by commas; none where there are none."""
    return [word.strip() for word in (text or "").split(",") if word.strip()] or None


def outputs_of(given: Any) -> tuple[str, ...]:
    """The wanted outputs: a list of their names, or none for all but the reconstruction.

    Raises:
        DataError: if it is no list, or one is unknown.
    """
    if given is None:
        return STANDARD
    if not isinstance(given, list) or not given or not all(isinstance(name, str) for name in given):
        raise DataError(f"outputs: got {_short(given)}, must be a list of some of {', '.join(OUTPUTS)}")
    for name in given:
        if name not in OUTPUTS:
            raise DataError(f"outputs: got {name!r}, must be some of {', '.join(OUTPUTS)}{nearest(name, OUTPUTS)}")
    return tuple(dict.fromkeys(given))


def require_at_most(count: int, most: int) -> None:
    """Refuse more samples than a request may have.

    Raises:
        TooMuchError: saying how many there are.
    """
    if count > most:
        raise TooMuchError(f"{SAMPLES}: got {count} samples, must be at most {most} a request; send several requests")


def _parsed(content: bytes) -> Any:
    try:
        return pydantic_core.from_json(content)
    except ValueError as error:
        raise DataError(f"body: is not JSON ({error}); send a JSON object") from None


def _object(where: str, value: Any, allowed: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: got {_short(value)}, must be an object with {', '.join(allowed)}")
    for key in value:
        if key not in allowed:
            raise DataError(f"{where}: unknown key {key!r}, must be one of {', '.join(allowed)}{nearest(key, allowed)}")
    return value


def _values(given: Any, contract: Contract, most: int) -> Any:
    """Nested lists as they are; an object's bytes as an array."""
    if not isinstance(given, dict):
        return given
    packed = _object(SAMPLES, given, ("base64", "shape", "dtype"))
    shape, dtype = packed.get("shape"), packed.get("dtype")
    if dtype not in TYPES:
        raise DataError(f"{SAMPLES}.dtype: got {_short(dtype)}, must be one of {', '.join(TYPES)}")
    axes = len(contract.event_shape)
    numbers = isinstance(shape, list) and all(type(size) is int and size > 0 for size in shape)
    if not isinstance(shape, list) or not numbers or len(shape) not in (axes, axes + 1):
        wanted = f"[N, {_listed(contract.event_shape)}]"
        raise DataError(f"{SAMPLES}.shape: got {_short(shape)}, must be {wanted}, all at least 1")
    if len(shape) > axes:
        require_at_most(shape[0], most)
    return _unpacked(packed.get("base64"), np.dtype(dtype).newbyteorder("<"), shape)


def _unpacked(text: Any, dtype: "np.dtype[Any]", shape: list[int]) -> NDArray[Any]:
    if not isinstance(text, str):
        raise DataError(f"{SAMPLES}.base64: got {_short(text)}, must be text")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{SAMPLES}.base64: is not base64 ({error})") from None
    wanted = math.prod(shape) * dtype.itemsize
    if len(content) != wanted:
        raise DataError(f"{SAMPLES}.base64: holds {len(content)} bytes, must be {wanted} for {shape} of {dtype.name}")
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
