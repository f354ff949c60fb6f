# SPDX-License-Identifier: Apache-2.0
"""Bred faces: what a network saw in real photos, changed a little and drawn over the photos again, with exact codes.

    photo, its code ─perturb─► another code ─┬─► face drawn in its light ─┐
                    ─warp after the face─────┴─► hair, neck, surroundings ┴─ fade ─► bred face, exact code

Place in the flow: `train/breed.py` explains photos and trains on these (InverseFaceNet, arXiv:1703.10956, section 5.2).
The new code is exact whatever the network had seen, for it is what is drawn. The photo is moved by the affine map that
takes the old outline of the face to the new one, so that chin and hair stay where the face ends.

Perturbations are the paper's; on top of them, crop errors as at run time. And where the paper's bred faces have the
skin of renderings, most of ours keep what their photo showed beyond the code (`photo_detail.py`): beards, glasses, the
line of the brows, wrinkles, highlights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from facefactor.code.face_code import FaceCode
from facefactor.data.framing import about_axis, draw_jitter, misplace_head, project
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.random_codes import draw_roll_deg
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.data.synthetic_sample import STORED_BORDER_PX
from facefactor.encode import ENCODER_CROP_PX
from facefactor.face.linear_points import dense_landmarks
from facefactor.face.model import FaceModel
from facefactor.light.spherical_harmonics import rotate_light
from facefactor.photo.landmarks import FACE_OVAL

ROOM_PX = 48
"""Of the photo's repeated border pixels around the stored crop, for what a moved photo uncovers."""


@dataclass(frozen=True)
class BreedingSettings:
    """How far bred faces stray from what was seen; standard deviations where nothing else is said."""

    seed: int = 0
    rotation_deg: float = 5.0
    """Largest turn about each of the head's axes, uniform."""
    shape: float = 0.1
    expression: float = 0.1
    reflectance: float = 0.2
    illumination: float = 0.02
    crop_spread: float = 1.0
    """Of crop errors: 1 for those of `random faces`, 0 for the photo's own crop."""
    detail_share: float = 0.75
    """Of the bred faces, that keep their photo's own detail; the others' is made up."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.detail_share <= 1.0:
            raise ValueError(f"detail_share must lie in [0, 1], got {self.detail_share}")
        if min(self.rotation_deg, self.shape, self.expression, self.reflectance, self.illumination) < 0:
            raise ValueError(f"perturbations must not be negative, got {self}")


class BredFaces:
    """Makes bred faces by number; each depends on the seed, its number and its photo alone.

    Args:
        photos: corpus of the photos.
        numbers: of the photos that were explained, in the corpus.
        codes: what was seen in them, (N, …), in the encoder crop's camera.
        settings: of the perturbations.
        model: the face model.
    """

    def __init__(
        self,
        photos: PhotoCorpus,
        numbers: Sequence[int],
        codes: FaceCode[np.ndarray],
        settings: BreedingSettings,
        model: FaceModel | None = None,
    ) -> None:
        drawing = SyntheticSettings(seed=settings.seed, border_px=STORED_BORDER_PX)
        self._faces = SyntheticFaces(drawing, model=model)
        self._photos, self._numbers, self._codes, self._settings = photos, numbers, codes, settings
        self._landmarks = dense_landmarks(self._faces.model)

    def make(self, indices: Sequence[int]) -> list[SyntheticFace]:
        """Make the bred faces of these numbers in their stored crops; number i is of explained photo i mod N."""
        chosen = [index % len(self._numbers) for index in indices]
        seen = self._codes[np.array(chosen)]
        generators = [np.random.default_rng([self._settings.seed, 1, index]) for index in indices]
        bred = self._perturb(seen, generators)
        before, after = self._outlines(seen), self._outlines(bred)
        photos = [self._photos[self._numbers[place]].crop_srgb for place in chosen]
        moved = [_moved(*parts) for parts in zip(photos, before, after, strict=True)]
        return self._faces.redraw(bred, indices, moved, self._take_details(seen, photos, generators))

    def draw_seen(self, places: Sequence[int]) -> list[SyntheticFace]:
        """Draw what was seen in explained photos, unchanged, over the photos themselves."""
        clean = replace(self._faces.settings, effects=False)
        photos = [self._photos[self._numbers[place]].crop_srgb for place in places]
        return SyntheticFaces(clean, model=self._faces.model).redraw(self._codes[np.array(places)], places, photos)

    def _take_details(
        self,
        seen: FaceCode[np.ndarray],
        photos_srgb: Sequence[np.ndarray],
        generators: Sequence[np.random.Generator],
    ) -> list[np.ndarray | None]:
        """What some of the faces keep of their photos, see `SyntheticFaces.take_details`; None for the others."""
        kept = [item for item, generator in enumerate(generators) if generator.random() < self._settings.detail_share]
        taken = self._faces.take_details(seen[kept], [photos_srgb[item] for item in kept])
        detail_of = dict(zip(kept, taken, strict=True))
        return [detail_of.get(item) for item in range(len(photos_srgb))]

    def _perturb(self, seen: FaceCode[np.ndarray], generators: Sequence[np.random.Generator]) -> FaceCode[np.ndarray]:
        settings = self._settings
        noise = {
            name: np.stack([generator.standard_normal(getattr(seen, name).shape[1:]) for generator in generators])
            for name in ("shape", "expression", "reflectance", "illumination")
        }
        changed = {name: getattr(seen, name) + getattr(settings, name) * noise[name] for name in noise}
        changed["expression"] = np.clip(changed["expression"], 0.0, 1.0)
        parts = {name: part.astype(np.float32) for name, part in changed.items()}
        code = seen.with_shape(parts["shape"]).with_expression(parts["expression"])
        code = code.with_reflectance(parts["reflectance"]).with_light(parts["illumination"])
        landmarks = self._place(code)
        placed = [self._misplace(code[item], landmarks[item], generator) for item, generator in enumerate(generators)]
        return FaceCode.unpack(np.stack([face.pack() for face in placed]))

    def _misplace(
        self, code: FaceCode[np.ndarray], landmarks_head: np.ndarray, generator: np.random.Generator
    ) -> FaceCode[np.ndarray]:
        """Turn the head a little, and miss its crop a little."""
        settings = self._settings
        turn = Rotation.from_euler("xyz", generator.uniform(-1, 1, 3) * settings.rotation_deg, degrees=True)
        R = Rotation.from_rotvec(code.rotation.astype(np.float64)).as_matrix() @ turn.as_matrix()
        roll_rad = np.radians(settings.crop_spread * draw_roll_deg(generator))
        jitter = draw_jitter(generator, roll_rad, settings.crop_spread)
        t = code.translation.astype(np.float64)
        R, t = misplace_head(landmarks_head, R, t, jitter, self._faces.settings.K, ENCODER_CROP_PX)
        light = rotate_light(
            torch.from_numpy(code.illumination).double(), torch.from_numpy(about_axis(jitter.roll_rad))
        )
        rotation = Rotation.from_matrix(R).as_rotvec()
        return code.with_pose(rotation.astype(np.float32), t.astype(np.float32)).with_light(light.float().numpy())

    def _place(self, code: FaceCode[np.ndarray]) -> np.ndarray:
        """Landmarks (B, 478, 3) of codes, head frame."""
        return self._landmarks.place(torch.from_numpy(code.shape), torch.from_numpy(code.expression)).numpy()

    def _outlines(self, code: FaceCode[np.ndarray]) -> list[np.ndarray]:
        """Where the outlines of faces are in their stored crops, (points, 2) each."""
        outlines = self._place(code)[:, list(FACE_OVAL)]
        R = Rotation.from_rotvec(code.rotation.astype(np.float64)).as_matrix()
        placed = outlines @ R.swapaxes(1, 2) + code.translation[:, None]
        return [project(points, self._faces.settings.K) for points in placed]


def _moved(photo_srgb: np.ndarray, before_px: np.ndarray, after_px: np.ndarray) -> np.ndarray:
    """Move a stored crop by the affine map that best takes points before to points after; its border is repeated."""
    homogeneous = np.concatenate([after_px, np.ones((len(after_px), 1))], axis=1)
    back = np.linalg.lstsq(homogeneous, before_px, rcond=None)[0].T
    back[:, 2] += ROOM_PX
    padded = Image.fromarray(np.pad(photo_srgb, ((ROOM_PX, ROOM_PX), (ROOM_PX, ROOM_PX), (0, 0)), mode="edge"))
    coefficients = tuple(back.ravel().tolist())
    size = (photo_srgb.shape[1], photo_srgb.shape[0])
    return np.asarray(padded.transform(size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC))
