"""A plain classifier of images, to ask whether generated images show the class that they were made for.

Shapes: images [n, C, H, W] in 0..255, labels [n].

Images are averaged down to at most 32 x 32 pixels; their first 64 principal components go into a support vector machine
with a Gaussian kernel (Cortes and Vapnik 1995), classes weighted to count alike. All of it is fitted on the images it
is given, so that a classifier of generated images knows nothing of real ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from torch.nn import functional

from vaeforge.data.grey_levels import WHITE
from vaeforge.errors import DataError

SIDE = 32
COMPONENTS = 64
CHUNK = 64
MARGIN = 10.0  # the penalty C of the support vector machine
Images = NDArray[np.uint8] | NDArray[np.floating]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Classifier:
    """A fitted classifier; make one with `fit_classifier`."""

    pipeline: Any

    def predict(self, images: Images) -> Integers:
        """The class of each image: [n]."""
        found: Integers = self.pipeline.predict(small(images)).astype(np.int64)
        return found

    def correct(self, images: Images, labels: Integers) -> NDArray[np.float64]:
        """1 where the predicted class is the label, else 0: [n]."""
        right: NDArray[np.float64] = (self.predict(images) == labels).astype(np.float64)
        return right


def fit_classifier(images: Images, labels: Integers) -> Classifier:
    """A classifier of these images; the same images give the same classifier.

    Raises:
        DataError: if there are fewer than two classes, or the images are all alike.
    """
    known = np.unique(labels).tolist()
    if len(known) < 2:
        raise DataError(f"classifier: got images of class {known}, must be of at least two classes; add some")
    values = small(images)
    if (values == values[0]).all():
        raise DataError("classifier: the images are all alike, must differ; look at what made them")
    components = min(COMPONENTS, len(values) - 1, values.shape[1])
    machine = SVC(C=MARGIN, class_weight="balanced")
    return Classifier(make_pipeline(PCA(components, random_state=0), machine).fit(values, labels))


def small(images: Images) -> NDArray[np.float32]:
    """Images in 0..1, averaged to at most 32 x 32 pixels: [n, D]."""
    height, width = images.shape[2:]
    target = (min(height, SIDE), min(width, SIDE))
    parts = []
    for start in range(0, len(images), CHUNK):
        batch = torch.from_numpy(np.asarray(images[start : start + CHUNK], dtype=np.float32)) / WHITE
        parts.append(functional.interpolate(batch, target, mode="area").flatten(1).numpy())
    return np.concatenate(parts)
