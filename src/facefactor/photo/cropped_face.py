# SPDX-License-Identifier: Apache-2.0
"""A found face with the upright crop that shows it: what every engine looks at.

Place in the flow: after `find` and `crop`; an engine answers with a face code in the crop's camera. That camera sees
the same at any number of pixels, so each may take the crop at the size it likes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facefactor.photo.crop import crop_coverage, crop_image, face_crop, photo_to_crop
from facefactor.photo.find import FoundFace
from facefactor.photo.read import Photo


@dataclass(frozen=True, eq=False)
class CroppedFace:
    """A face of a photo and its crop."""

    photo: Photo
    found: FoundFace
    T_photo_crop: NDArray[np.float64]
    """(3, 3) similarity, pixels of the crop to pixels of the photo."""
    srgb: NDArray[np.float32]
    """(size, size, 3), [0, 1]."""

    @classmethod
    def of(cls, photo: Photo, found: FoundFace, size: int) -> CroppedFace:
        """Cut the crop that the face's landmarks ask for, `size` pixels wide and high."""
        T_photo_crop = face_crop(found.landmarks, size)
        return cls(photo, found, T_photo_crop, crop_image(photo, T_photo_crop, size))

    @property
    def size(self) -> int:
        """Width and height of the crop in pixels."""
        return len(self.srgb)

    @property
    def coverage(self) -> NDArray[np.bool_]:
        """(size, size): which crop pixels lie on the photo."""
        return crop_coverage(self.photo, self.T_photo_crop, self.size)

    @property
    def landmarks_px(self) -> NDArray[np.float64]:
        """(478, 2) the landmarks found, pixels of the crop."""
        return photo_to_crop(self.found.landmarks.points_px, self.T_photo_crop)

    def transform_at(self, size: int) -> NDArray[np.float64]:
        """T_photo_crop of the same crop at another number of pixels."""
        scale = self.size / size
        return self.T_photo_crop @ np.diag([scale, scale, 1.0])

    def srgb_at(self, size: int) -> NDArray[np.float32]:
        """The same crop at another number of pixels, sampled from the photo: (size, size, 3)."""
        return crop_image(self.photo, self.transform_at(size), size)
