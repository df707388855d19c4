"""What a model card says in sentences: what each task's models are for, and what they must not be taken for."""

INTENDED = {
    "anomaly": "Ranks images by how far they depart from the normal images that the model learned from. Meant for "
    "research on anomaly detection, and for choosing what a person looks at first.",
    "texture": "Encodes patches of one texture, reconstructs them, and draws new ones. Meant for research on texture "
    "statistics, and for simulations where nearly realistic texture is enough.",
    "classes": "Encodes grey images of known classes, reconstructs them, and draws new images of a class. Meant for "
    "research, and for examples in teaching.",
    "series": "Encodes single time points of voxel series as short vectors and reconstructs them. Meant for research "
    "on the structure of such series.",
    "maps": "Encodes the values of several channels over points in space and reconstructs them. Meant for research on "
    "spatial maps, and for filling in channels where the evaluation shows that this works.",
}
UNKNOWN_TASK = "Encodes samples of the kind that it was trained on and reconstructs them."

LIMITS = {
    "anomaly": [
        "It is not a medical device. Do not diagnose, treat, or rule anything out by its scores.",
        "A high score says that an image is unlike the training images, not what is wrong with it. Another camera, "
        "stain, focus or crop is unlike them, too.",
        "A low score does not say that an image is normal: anomalies that the model reconstructs well go unseen.",
    ],
    "texture": [
        "It is not a medical device. Drawn patches are no measurements of anybody.",
        "It knows patches of one size and one imaging setup. Other frequencies, depths or gains are other textures.",
    ],
    "classes": [
        "It is not a medical device, and no classifier: the class is an input.",
        "Drawn images are no observations. Do not count them as samples of a study.",
        "It may draw near copies of training images; check before you pass any on, where those are not public.",
    ],
    "series": [
        "It is not a medical device. Latents say nothing about one person's health.",
        "It knows voxels in the order and the units of its training files; time is no input.",
    ],
    "maps": [
        "It is not a medical device. Values that it fills in are no measurements.",
        "It knows the coordinate frame of its training data and nothing outside of their bounding box.",
    ],
}
EVERYWHERE = [
    "Its numbers hold for data like its test data. For anything else they are unknown: measure before relying on them.",
    "Inputs out of distribution get an answer like any other. Compare scores and latents with reference.npz to notice.",
]
INT8 = "The int8 graph is for inputs within the range of the training data; its answers depend a little on the batch."
SAMPLE = (
    "It was trained on a small sample that comes with the software, which shows that the machinery runs. The numbers "
    "say nothing of the method's worth, and the model is not meant for use."
)


def intended_use(task: str) -> str:
    """What models of `task` are for."""
    return INTENDED.get(task, UNKNOWN_TASK)


def limits_of(task: str, shipped_sample: bool, quantised: bool) -> list[str]:
    """What to know before using a model, the weightiest first."""
    own = LIMITS.get(task, ["It is not a medical device."])
    return [*([SAMPLE] if shipped_sample else []), *own, *EVERYWHERE, *([INT8] if quantised else [])]
