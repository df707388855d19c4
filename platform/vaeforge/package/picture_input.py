"""The way of a picture to a trained model: what `contract.json` says of it, and what the graph `picture` does."""

from vaeforge.config.layouts import layout_named
from vaeforge.data.images import COLOURS
from vaeforge.data.picture_reading import PictureReading, from_plain
from vaeforge.data.pixels import LUMA
from vaeforge.package.contract import PictureDifference, PictureInput
from vaeforge.package.picture_graph import Fit, Framing
from vaeforge.trained import TrainedModel

GREY = "({} R + {} G + {} B + 32768) >> 16".format(*LUMA)  # as Pillow rounds it
CUBIC = {
    8: "bicubic, a = -0.5, antialiased; 8 bits, across first, then down, rounded after each",
    16: "bicubic, a = -0.5, antialiased; floats, rounded once to 16 bits",
}
CROPS: dict[Fit, str] = {
    "crop": "the centre square, from (W - s) // 2 and (H - s) // 2",
    "pad": "none: the longer side is resized, the rest padded evenly with the median of the picture's border",
    "squash": "none: squashed to a square",
}
PATCH = "none: a picture is a patch"


def framing_of(trained: TrainedModel) -> Framing | None:
    """How whole pictures become samples; none where the model takes patches, or no pictures."""
    experiment, info = trained.experiment, trained.prepared.manifest.info
    layout = layout_named(experiment.definition.data)
    if "whole" not in layout.picture_modes or info.get("cut"):
        return None
    channels, side = trained.model.event_shape[0], trained.model.event_shape[-1]
    margin = int(getattr(experiment.prepare, "margin", 0))
    depth = reading_in(trained).depth
    return Framing(getattr(experiment.prepare, "fit", "crop"), side + margin, side, channels, depth)


def picture_input(trained: TrainedModel, difference: PictureDifference | None) -> PictureInput | None:
    """How pictures become samples of the model, and how exactly its graph does it; none where it takes no pictures."""
    layout = layout_named(trained.experiment.definition.data)
    if not layout.picture_modes:
        return None
    reading = reading_in(trained)
    framing, colour = framing_of(trained), "RGB" if trained.model.event_shape[0] == COLOURS else GREY
    crop, resize = (CROPS[framing.fit], CUBIC[reading.depth]) if framing else (PATCH, "none")
    return PictureInput(
        orientation="applied",
        colour=colour,
        black=reading.black,
        white=reading.white,
        pages=reading.pages,
        channels=reading.channels,
        crop=crop,
        resize=resize,
        resize_to=framing.side if framing else None,
        centre=framing.centre if framing and framing.centre < framing.side else None,
        steps=_steps(reading, colour, framing),
        graph=difference,
        depth=reading.depth,
        clip=reading.clip,
    )


def reading_in(trained: TrainedModel) -> PictureReading:
    """How the pictures that the model learned from were read."""
    info = trained.prepared.manifest.info
    return from_plain(info["pictures"], "manifest of prepared data") if "pictures" in info else PictureReading()


def _steps(reading: PictureReading, colour: str, framing: Framing | None) -> tuple[str, ...]:
    white = f"{reading.white:g}" if reading.white else "255 in 8 bits, else 2^b - 1 of the fewest bits (10, 12, 14, 16)"
    taken, depth = ", ".join(reading.channels) or "all", reading.depth
    black, clipped = f"{reading.black:g}", ", what lies outside clipped" if reading.clip else ""
    steps = [
        f"decoded and turned as its orientation says; pages {reading.pages or 'one'}, channels {taken}",
        f"levels round({2**depth - 1} (v - {black}) / (white - {black})) in {depth} bits, white {white}{clipped}",
        "laid onto white where it is transparent",
        f"colour {colour}",
    ]
    units = () if depth == 8 else ("x = levels / 257, from 0 to 255",)
    if framing is None:
        return (*steps, f"{PATCH} of the model's size", *units)
    steps += [f"crop: {CROPS[framing.fit]}", f"resized to {framing.side} x {framing.side}: {CUBIC[depth]}"]
    if framing.centre < framing.side:
        steps.append(f"the middle {framing.centre} x {framing.centre} pixels")
    return (*steps, *units)
