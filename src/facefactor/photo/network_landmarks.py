# SPDX-License-Identifier: Apache-2.0
"""Dense landmarks by our own network, without torch or mediapipe.

Place in the flow: what ships behind `LandmarkDetector`; `train/landmarks.py` makes its weights. The network looks at
the upright crop around the face's box, then twice more at the crop of the points it found, so that the points hardly
depend on the box.

    box ─face_crop─► first look ─points─► face_crop ─► second look ─► third look ─► their mean: landmarks
         turned further where the network sees no face; no face unless it still sees one and the looks agree
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefactor.encode import ENCODER_CROP_PX
from facefactor.graph_file import graph_facts, open_graph
from facefactor.photo.crop import crop_image, crop_to_photo, face_crop, middle_of_extent, similarity_scale
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import Landmarks
from facefactor.photo.read import Photo

SHIPPED_NETWORK = Path(__file__).resolve().parents[1] / "assets" / "landmarks.onnx"
LANDMARK_FORMAT = "facefactor.landmarks/1"
LANDMARK_OUTPUTS = ("points_px", "visibility", "face")
TURNS_DEG = (0.0, 180.0, 60.0, -60.0)
"""Turns away from the box's roll, tried until a face is seen; a profile's box may be upside down."""
FURTHER_LOOKS = 2
LEAST_FACE_AT_FIRST, LEAST_FACE = 0.5, 0.9
"""A crop in which the network is less certain of a face shows none: in the first look, and in those that follow."""
LARGEST_DISAGREEMENT_PX = 3.0
"""Mean distance of the last two looks' points, in crop pixels, beyond which there was nothing to find."""
LEAST_INSIDE = 0.5
"""A face is followed as long as so many of its points lie in the frame."""
LARGEST_SHIFT = 0.5
"""Points whose middle is further from the box's middle, over the box's size, are another face's."""


@dataclass(frozen=True, eq=False)
class _Look:
    """What the network says of one crop."""

    landmarks: Landmarks
    """In the photo."""
    face: float
    """Probability that the crop shows a face."""
    scale: float
    """Photo pixels per crop pixel."""


class NetworkLandmarks:
    """The landmark network; deterministic, safe to call from several threads.

    Args:
        path: of the graph; the shipped one by default.
        num_threads: per call.

    Raises:
        AssetMissing: the graph is not there.
        IncompatibleCode: the file is no graph of this version.
    """

    def __init__(self, path: Path | None = None, num_threads: int = 1) -> None:
        self._graph = open_graph(path or SHIPPED_NETWORK, LANDMARK_FORMAT, num_threads)
        self.facts = graph_facts(self._graph)
        """What the file says about itself, such as the run that trained it."""

    def detect(self, photo: Photo, box: FaceBox) -> Landmarks | None:
        """Find the landmarks of the face in `box`; see `LandmarkDetector.detect`."""
        for turn_deg in TURNS_DEG:
            turned = replace(box, roll_deg=math.remainder(box.roll_deg + turn_deg, 360))
            found = self._look_further(photo, self._look(photo, face_crop(turned, ENCODER_CROP_PX)))
            if found is not None and _lies_in(found, box):
                return found
        return None

    def follow(self, photo: Photo, before: Landmarks) -> Landmarks | None:
        """Find a face again in the next frame of a video, by one look where it was; None when it is no longer there.

        Args:
            photo: the frame.
            before: the landmarks in the frame before.
        """
        look = self._look(photo, face_crop(before, ENCODER_CROP_PX))
        inside = photo.contains(look.landmarks.points_px)
        if look.face < LEAST_FACE_AT_FIRST or inside.mean() < LEAST_INSIDE:
            return None
        return Landmarks(look.landmarks.points_px, look.landmarks.visibility * inside)

    def answer(self, crops_srgb: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run the network on crops (batch, 128, 128, 3), sRGB in [0, 1].

        Returns:
            Points (batch, 478, 2) in crop pixels; their visibility (batch, 478) and the face's probability (batch,).
        """
        planes = np.ascontiguousarray(crops_srgb.transpose(0, 3, 1, 2), dtype=np.float32)
        return tuple(self._graph.run(list(LANDMARK_OUTPUTS), {"crops": planes}))

    def _look_further(self, photo: Photo, look: _Look) -> Landmarks | None:
        """Look further where a look found a face; None when there is none, or the looks disagree."""
        least_face = LEAST_FACE_AT_FIRST
        for _ in range(FURTHER_LOOKS):
            if look.face < least_face:
                return None
            before, look = look, self._look(photo, face_crop(look.landmarks, ENCODER_CROP_PX))
            least_face = LEAST_FACE
        apart_px = np.linalg.norm(look.landmarks.points_px - before.landmarks.points_px, axis=1).mean() / look.scale
        if look.face < LEAST_FACE or apart_px > LARGEST_DISAGREEMENT_PX:
            return None
        points_px = (look.landmarks.points_px + before.landmarks.points_px) / 2
        return Landmarks(points_px, look.landmarks.visibility * photo.contains(points_px))

    def _look(self, photo: Photo, T_photo_crop: NDArray[np.float64]) -> _Look:
        crop_srgb = crop_image(photo, T_photo_crop, ENCODER_CROP_PX)
        points, visibility, face = (answers[0] for answers in self.answer(crop_srgb[None]))
        landmarks = Landmarks(crop_to_photo(points.astype(np.float64), T_photo_crop), visibility.astype(np.float64))
        return _Look(landmarks, float(face), similarity_scale(T_photo_crop))


def _lies_in(landmarks: Landmarks, box: FaceBox) -> bool:
    shift_px = np.linalg.norm(middle_of_extent(landmarks.points_px, 0.0) - box.centre_px)
    return bool(shift_px <= LARGEST_SHIFT * math.sqrt(box.area_px2))
