# SPDX-License-Identifier: Apache-2.0
"""An albedo for the whole head from one that was answered to one photo: completed where the photo does not show it.

Place in the flow: albedo with learned corrections, and what of the face the photo shows → this → `photo_texture.py`.

Corrections of the albedo (`face/correctives.py`) say how a person's skin differs from the face model's. Of skin that
the photo does not show, or shows edge on, they say what was beside it: hair, background, a shadow. There their
logarithm c is taken from the mirrored place where that was seen, and is otherwise continued from the skin around:

    s c + (1 − s) s' c(mirrored) + (1 − s) (1 − s') smooth(c),      s and s' in [0, 1]: seen here, and seen there
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facefactor.face.face_graph import FaceGraph
from facefactor.face.fade import FACE_REGIONS, face_opacity
from facefactor.face.model import ALBEDO_RANGE, FaceModel

if TYPE_CHECKING:
    from jaxtyping import Float

FACING_RAMP = (0.45, 0.8)
"""Cosines between normal and view at which corrections begin to be believed, and are believed fully."""
CONTINUED_SCALE_MM = 36.0
"""What is continued varies no faster than this."""


class AlbedoCompletion:
    """Completes the albedos of one face model.

    Args:
        model: the face model.
        graph: of the same.
    """

    def __init__(self, model: FaceModel, graph: FaceGraph) -> None:
        self._graph = graph
        self._opacity = (model.subdivision @ face_opacity(model))[:, None]
        hidden = np.zeros(model.num_vertices, dtype=np.float32)
        hidden[np.concatenate([model.regions[name] for name in FACE_REGIONS if name != "face"])] = 1.0
        self._in_openings = (((model.subdivision @ hidden) > 0.0) & ~graph.in_face)[:, None]

    def complete(
        self,
        base_linear: Float[np.ndarray, "subdivided 3"],
        corrected_linear: Float[np.ndarray, "subdivided 3"],
        seen: Float[np.ndarray, " subdivided"],
    ) -> Float[np.ndarray, "subdivided 3"]:
        """The corrected albedo, completed; inside the openings of eyes and mouth as it is.

        Args:
            base_linear: albedo without corrections, linear RGB.
            corrected_linear: with them.
            seen: cosine between each vertex's normal and the view, 0 where the photo does not show it.
        """
        correction = np.log(corrected_linear / base_linear)
        if not correction.any():
            return corrected_linear
        seen = self._graph.feather(np.interp(seen, FACING_RAMP, (0.0, 1.0)))
        own, other = seen[:, None], ((1.0 - seen) * seen[self._graph.mirrored])[:, None]
        known = own * correction + other * correction[self._graph.mirrored]
        share = own + other
        weights = share[:, 0] * self._graph.in_face
        around = self._graph.smooth(known / np.maximum(share, 1e-6), weights, CONTINUED_SCALE_MM)
        beyond = self._graph.average_around(around, self._graph.in_face.astype(np.float32))
        around = np.where(self._graph.in_face[:, None], around, beyond)
        completed = np.where(self._in_openings, correction, known + (1.0 - share) * self._opacity * around)
        return np.clip(base_linear * np.exp(completed), *ALBEDO_RANGE).astype(np.float32)
