# SPDX-License-Identifier: Apache-2.0
"""Dense face landmarks: the record, the interface of whatever finds them, and the points' names.

Place in the flow: after `detect`, before `crop`; the fit pulls the face model's landmarks to these.

The 478 points and their numbers are MediaPipe Face Mesh's (468 of the mesh, then 5 of each iris), published with its
canonical face model (google-ai-edge/mediapipe, Apache-2.0). Left and right are the subject's: the right eye is on the
left of the picture. Contours run in order; eye and lip contours from the picture's left to its right.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from facefactor.photo.detect import FaceBox
from facefactor.photo.read import Photo

NUM_LANDMARKS = 478
NUM_MESH_LANDMARKS = 468

RIGHT_IRIS = (468, 469, 470, 471, 472)
"""Centre (the pupil), then picture right, top, left, bottom of the iris border."""
LEFT_IRIS = (473, 474, 475, 476, 477)
RIGHT_PUPIL = RIGHT_IRIS[0]
LEFT_PUPIL = LEFT_IRIS[0]

RIGHT_EYE_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
"""Lid border from corner to corner; both lids of an eye share their corners."""
RIGHT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_EYE_UPPER = (362, 398, 384, 385, 386, 387, 388, 466, 263)
LEFT_EYE_LOWER = (362, 382, 381, 380, 374, 373, 390, 249, 263)
RIGHT_EYE_CORNERS = (33, 133)
LEFT_EYE_CORNERS = (362, 263)

LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

OPENINGS = {
    "left_eye": (LEFT_EYE_UPPER, LEFT_EYE_LOWER),
    "right_eye": (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER),
    "mouth": (LIPS_INNER_UPPER, LIPS_INNER_LOWER),
}
"""What opens and closes: the upper edge, and below it point by point the lower one; they meet at both ends."""

RIGHT_BROW_UPPER = (70, 63, 105, 66, 107)
RIGHT_BROW_LOWER = (46, 53, 52, 65, 55)
LEFT_BROW_UPPER = (336, 296, 334, 293, 300)
LEFT_BROW_LOWER = (285, 295, 282, 283, 276)

NOSE_RIDGE = (168, 6, 197, 195, 5, 4, 1)
"""From between the eyes down to the tip."""
NOSE_BASE = (98, 97, 2, 326, 327)
"""Under the nostrils, from the picture's left to its right."""
CHIN = 152
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Outline from the top of the forehead clockwise in the picture; it slides over the cheeks when the head turns."""
RIGHT_CHEEK_EDGE = 234
LEFT_CHEEK_EDGE = 454

IBUG_51_FROM_478 = (
    *RIGHT_BROW_UPPER,  # 17–21: right brow, outer to inner end
    *LEFT_BROW_UPPER,  # 22–26: left brow, inner to outer end
    *(168, 197, 195, 4),  # 27–30: nose ridge, four steps from between the eyes to the tip
    *NOSE_BASE,  # 31–35: nose base
    *(33, 160, 158, 133, 153, 144),  # 36–41: right eye, clockwise in the picture from the outer corner
    *(362, 385, 387, 263, 373, 380),  # 42–47: left eye, clockwise in the picture from the inner corner
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # 48–59: outer lip, clockwise from the picture's left
    *(78, 81, 13, 311, 308, 402, 14, 178),  # 60–67: inner lip, likewise
)
"""MediaPipe numbers of the iBUG-68 points 17 to 67 (Sagonas et al. 2016, fig. 1); 0–16, the jaw line, has none."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """One face's landmarks.

    Attributes:
        points_px: (478, 2) float64, photo pixels.
        visibility: (478,) float64 in [0, 1]: how far to trust each point. 0 outside the photo; low on the far half of a
            face in profile.
    """

    points_px: NDArray[np.float64]
    visibility: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.points_px.shape != (NUM_LANDMARKS, 2) or self.visibility.shape != (NUM_LANDMARKS,):
            raise ValueError(
                f"landmarks are ({NUM_LANDMARKS}, 2) points with as many visibilities, "
                f"got {self.points_px.shape} and {self.visibility.shape}"
            )


class LandmarkDetector(Protocol):
    """Anything that finds the landmarks of a face whose box is known."""

    def detect(self, photo: Photo, box: FaceBox) -> Landmarks | None:
        """Find the landmarks of the face in `box`; None when it shows no face."""
        ...


def eye_centres_px(points_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Middle between the corners of each eye: (2, 2), the right eye first. Unlike the pupil, gaze does not move it.

    Args:
        points_px: (478, 2).
    """
    corners = points_px[[*RIGHT_EYE_CORNERS, *LEFT_EYE_CORNERS]]
    return corners.reshape(2, 2, 2).mean(axis=1)


def roll_rad(points_px: NDArray[np.float64]) -> float:
    """Angle by which the face is turned clockwise in the photo, (-π, π].

    The eye line and the perpendicular of the line from the eyes to the mouth, added as vectors: in frontal views both
    count; in profile the first shrinks to nothing and the second rules.

    Args:
        points_px: (478, 2).
    """
    right_eye, left_eye = eye_centres_px(points_px)
    down = points_px[[LIPS_OUTER_UPPER[0], LIPS_OUTER_UPPER[-1]]].mean(axis=0) - (right_eye + left_eye) / 2
    across = (left_eye - right_eye) + np.array([down[1], -down[0]])
    return float(np.arctan2(across[1], across[0]))
