"""Near copies of pictures: which belong together, and which only look like it."""

import numpy as np

from vaeforge.data.near_copies import Thumbnail, near_copies

RNG = np.random.default_rng(0)


def picture() -> Thumbnail:
    """Grey levels from 60 to 180 without a neighbour like them."""
    return RNG.uniform(60, 180, 1024).astype(np.float32)


def test_copies_of_copies_belong_together_in_any_order() -> None:
    """Of one picture six levels brighter each time, the first and the last are too far apart to be copies (12 > 8)."""
    base = picture()
    dark, middle, light = base, base + 6, base + 12
    others = [picture() for _ in range(6)]
    assert near_copies([dark, light, *others]) == list(range(8))
    assert near_copies([dark, light, middle, *others]) == [0, 0, 0, *range(3, 9)]
    assert near_copies([*others, light, dark, others[2] + 1, middle]) == [*range(6), 6, 6, 2, 6]


def test_copies_are_found_across_blocks() -> None:
    many = [picture() for _ in range(1100)]
    found = near_copies([*many, many[3] + 1, many[1080] + 1, many[3] + 9, many[3] + 5])
    assert found == [*range(1100), 3, 1080, 3, 3]
    assert near_copies([]) == []


def test_pictures_without_structure_have_no_copies() -> None:
    flat = np.full(1024, 90, np.float32)
    many = [np.full(1024, level, np.float32) + RNG.uniform(-1, 1, 1024).astype(np.float32) for level in range(80, 160)]
    assert near_copies([flat, flat, *many]) == list(range(82))
