"""Images that others wrote: bounded before they are decoded, decoded, and encoded again for the model that sees them.

Nouns: *limits* are what an image may cost; an *image* is one that was decoded within them, as the bytes of a plain PNG.
"""

from reward_servers.engines.media._images import Image, ImageLimits, MediaError, read_image
from reward_servers.engines.media._measures import SMALLEST, colour_share, structural_similarity
from reward_servers.engines.media._pixels import Preprocessor, read_preprocessor

__all__ = [
    "SMALLEST",
    "Image",
    "ImageLimits",
    "MediaError",
    "Preprocessor",
    "colour_share",
    "read_image",
    "read_preprocessor",
    "structural_similarity",
]
