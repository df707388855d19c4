"""A decoder for pydicom of what it has none for here: lossless JPEG, JPEG of 12 bits, JPEG-LS and HTJ2K.

imagecodecs decodes. pydicom calls it by its way for such decoders: a module with `is_available`, and a function of a
frame and the runner.
"""

from typing import Any

import imagecodecs
from pydicom import uid
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder

NAME = "imagecodecs"
LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
HTJ2K = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
OWN = (*LOSSLESS, *JPEG_LS, *HTJ2K)
DECODER_DEPENDENCIES = dict.fromkeys((*OWN, uid.JPEGExtended12Bit), (NAME,))
EIGHT = 8


def decoder_of(syntax: Any, bits: int) -> Any:
    """Who decodes frames that are packed in this way, with so many bits a value.

    Raises:
        NotImplementedError: if pydicom does not know it.
    """
    if syntax in OWN or (syntax == uid.JPEGExtended12Bit and bits > EIGHT):
        found = Decoder(syntax)
        found.add_plugin(NAME, (__name__, "decode_frame"))
        return found
    return get_decoder(syntax)


def is_available(syntax: str) -> bool:
    """Whether frames packed so are decoded here."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(packed: bytes, runner: Any) -> bytearray:
    """The values of a frame, colours beside one another."""
    syntax = runner.transfer_syntax
    if syntax in JPEG_LS:
        values = imagecodecs.jpegls_decode(packed)
    elif syntax in HTJ2K:
        values = imagecodecs.jpeg2k_decode(packed)
    else:  # no change of colours: pydicom makes that
        same = "RGB" if runner.samples_per_pixel > 1 else None
        values = imagecodecs.jpeg_decode(packed, colorspace=same, outcolorspace=same)
    runner.set_option("bits_allocated", values.dtype.itemsize * EIGHT)
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    return bytearray(values.tobytes())
