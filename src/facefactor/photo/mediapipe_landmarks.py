# SPDX-License-Identifier: Apache-2.0
"""Dense landmarks by MediaPipe Face Mesh, our network's teacher (optional: `pip install 'facefactor[prepare]'`).

Place in the flow: a backend behind `LandmarkDetector`, for `prepare --landmarks mediapipe`, whose corpora the network
learns from, and for `evaluate landmarks`. The face is cut out upright around its box, the mesh is found in the cut-out
and mapped back to photo pixels. Then it is cut out twice more where the mesh itself lies, upright and of one size: so
the points hardly depend on the box, and a photo that is turned or shifted gives the same points within 0.6 px of a 500
px face (mean, measured; 1.8 px with the box alone).
"""

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facefactor.errors import require
from facefactor.photo.crop import crop_image, crop_to_photo, middle_of_extent, rotation, similarity
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import LEFT_CHEEK_EDGE, NUM_LANDMARKS, RIGHT_CHEEK_EDGE, Landmarks, roll_rad
from facefactor.photo.read import Photo

CUTOUT_SIZE_PX = 320
"""The face fills about half of it; the mesh network looks at 192 pixels around the face."""
MARGINS = (2.0, 1.5, 3.0, 1.2, 4.0)
"""Cut-out over box size, tried in this order until a face is seen."""
TURNS_RAD = (0.0, math.radians(30), math.radians(-30), math.pi)
"""Turns of the cut-out away from the box's roll, tried when no margin helps: some profiles are seen only leaning, and
a profile's box may be upside down."""
LARGEST_ROLL_ERROR_RAD = math.radians(20)
"""Beyond this a mesh that is not found again, as upright as this, is no face."""
FURTHER_LOOKS = 2
FURTHER_MARGIN = 2.0
"""Size of the further cut-outs over that of the mesh."""
LARGEST_SHIFT = 0.5
"""A mesh whose middle is further from the box's middle, over the box's size, is another face's."""
PROFILE_START_RAD, PROFILE_END_RAD = math.radians(50), math.radians(75)
"""Yaw between which the far half of the face goes from full to least visibility (wrong beyond 60°, measured)."""
LEAST_VISIBILITY = 0.1


class MediaPipeLandmarks:
    """MediaPipe Face Mesh with irises; deterministic, one photo at a time."""

    def __init__(self) -> None:
        self._mesh = start_face_mesh()

    def detect(self, photo: Photo, box: FaceBox) -> Landmarks | None:
        """Find the landmarks of the face in `box`; see `LandmarkDetector.detect`.

        Raises:
            MissingExtra: mediapipe is not installed (when the object is made).
        """
        for turn_rad, margin in product(TURNS_RAD, MARGINS):
            found = self._detect_in_cutout(photo, box, margin, math.radians(box.roll_deg) + turn_rad)
            if found is not None:
                return found
        return None

    def _detect_in_cutout(self, photo: Photo, box: FaceBox, margin: float, angle_rad: float) -> Landmarks | None:
        """Look around the box, then again around what was found; a leaning mesh that is not found again is no face."""
        box_size_px = math.sqrt(box.area_px2)
        found = self._mesh_in_cutout(photo, box.centre_px, margin * box_size_px, angle_rad)
        if found is None:
            return None
        shift_px = np.linalg.norm(middle_of_extent(found.points_px, 0.0) - box.centre_px)
        if shift_px > LARGEST_SHIFT * box_size_px:
            return None
        for _ in range(FURTHER_LOOKS):
            leans = _roll_error_rad(found, angle_rad) > LARGEST_ROLL_ERROR_RAD
            angle_rad = roll_rad(found.points_px)
            again = self._look_again(photo, found, angle_rad)
            if again is None:
                return None if leans else found
            found = again
        return found

    def _look_again(self, photo: Photo, found: Landmarks, angle_rad: float) -> Landmarks | None:
        """Run the mesh on the upright cut-out around a mesh; None unless it is found upright there."""
        extent_px = np.ptp(found.points_px @ rotation(angle_rad), axis=0)
        size_px = FURTHER_MARGIN * float(np.sqrt(extent_px.prod()))
        again = self._mesh_in_cutout(photo, middle_of_extent(found.points_px, angle_rad), size_px, angle_rad)
        return None if again is None or _roll_error_rad(again, angle_rad) > LARGEST_ROLL_ERROR_RAD else again

    def _mesh_in_cutout(self, photo: Photo, centre_px: ArrayLike, size_px: float, angle_rad: float) -> Landmarks | None:
        """Run the mesh once on an upright cut-out."""
        T_photo_cutout = similarity(centre_px, size_px / CUTOUT_SIZE_PX, angle_rad, CUTOUT_SIZE_PX)
        cutout = np.rint(crop_image(photo, T_photo_cutout, CUTOUT_SIZE_PX) * 255).astype(np.uint8)
        points = run_face_mesh(self._mesh, cutout)
        if points is None:
            return None
        points_px = crop_to_photo(points[:, :2], T_photo_cutout)
        return Landmarks(points_px, profile_visibility(points) * photo.contains(points_px))


def _roll_error_rad(landmarks: Landmarks, angle_rad: float) -> float:
    return abs(math.remainder(roll_rad(landmarks.points_px) - angle_rad, math.tau))


def profile_visibility(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trust in each point from the head's yaw: the far half of a profile is guessed by the mesh network.

    Args:
        points: (478, 3) x, y, z in one unit; y down, z away from the viewer.

    Returns:
        (478,) in [`LEAST_VISIBILITY`, 1].
    """
    across = points[LEFT_CHEEK_EDGE] - points[RIGHT_CHEEK_EDGE]
    yaw_rad = math.atan2(across[2], math.hypot(across[0], across[1]))
    turned = np.clip((abs(yaw_rad) - PROFILE_START_RAD) / (PROFILE_END_RAD - PROFILE_START_RAD), 0, 1)
    middle = (points[LEFT_CHEEK_EDGE] + points[RIGHT_CHEEK_EDGE]) / 2
    sideways = (points - middle) @ across / (across @ across)  # -0.5 at the right cheek's edge, 0.5 at the left one's
    far = np.clip(0.5 + 10 * math.copysign(1.0, yaw_rad) * sideways, 0, 1)
    return 1 - (1 - LEAST_VISIBILITY) * turned * far


def start_face_mesh() -> Any:
    """Load MediaPipe and start its graph, with its start-up messages kept from the terminal."""
    with _quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mediapipe = require("mediapipe", "prepare", "finding landmarks")
        mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)
        mesh.process(
            np.zeros((CUTOUT_SIZE_PX, CUTOUT_SIZE_PX, 3), np.uint8)
        )  # the graph starts, and talks, in a thread
    return mesh


def run_face_mesh(mesh: Any, srgb: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Points (478, 3) in pixels of the cut-out, z in pixels too; None when there is no face."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MediaPipe calls protobuf functions that warn of their age
        faces = mesh.process(srgb).multi_face_landmarks
    if not faces:
        return None
    height, width = srgb.shape[:2]
    points = np.array([(point.x, point.y, point.z) for point in faces[0].landmark], dtype=np.float64)
    assert points.shape == (NUM_LANDMARKS, 3)
    return points * (width, height, width)


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Send the process's standard error to nowhere: C++ libraries write to the descriptor, not to sys.stderr."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
