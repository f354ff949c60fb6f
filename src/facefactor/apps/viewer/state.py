# SPDX-License-Identifier: Apache-2.0
"""What a viewer shows at one moment: a face, how its numbers were changed, and which of its layers is drawn.

A frozen record; every control of the page makes a changed copy. `painting.py` draws it, `downloads.py` saves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from facefactor.apps.viewer.subject import Subject
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES


class Layer(StrEnum):
    """What of a head is drawn."""

    LIT = "lit"
    """Albedo under the light: what a photo would show."""
    ALBEDO = "albedo"
    GEOMETRY = "geometry"
    """Grey, under the studio light."""
    SHADING = "shading"
    """Grey, under the light."""


@dataclass(frozen=True, eq=False)
class ViewerState:
    """One moment of a viewer."""

    subject: Subject
    code: FaceCode[np.ndarray]
    """The face as it was changed, in the photo's camera; its light is the one shown."""
    layer: Layer = Layer.LIT
    over_photo: bool = False
    """The face is laid over its photo, if that is at hand, in place of the whole head before nothing."""

    @classmethod
    def of(cls, subject: Subject) -> ViewerState:
        """Show a face as it was opened."""
        return cls(subject, subject.opened)

    @property
    def photo_behind(self) -> np.ndarray | None:
        """The photo that the face is laid over; None when it is not."""
        return self.subject.photo_srgb if self.over_photo else None

    def with_expression(self, name: str, weight: float) -> ViewerState:
        """Copy with one expression weight, in [0, 1], changed; `name` is one of EXPRESSION_NAMES."""
        changed = _with_entry(self.code.expression, EXPRESSION_NAMES.index(name), weight)
        return replace(self, code=self.code.with_expression(changed))

    def without_expression(self) -> ViewerState:
        """Copy with the neutral expression."""
        return replace(self, code=self.code.with_expression(np.zeros_like(self.code.expression)))

    def as_reconstructed(self) -> ViewerState:
        """Copy with all changes of the face and its light undone."""
        return replace(self, code=self.subject.code)

    def with_shape(self, component: int, deviations: float) -> ViewerState:
        """Copy with one shape component changed, in standard deviations."""
        return replace(self, code=self.code.with_shape(_with_entry(self.code.shape, component, deviations)))

    def with_reflectance(self, component: int, deviations: float) -> ViewerState:
        """Copy with one reflectance component changed, in standard deviations."""
        changed = _with_entry(self.code.reflectance, component, deviations)
        return replace(self, code=self.code.with_reflectance(changed))

    def with_light(self, illumination: np.ndarray) -> ViewerState:
        """Copy under another light: (9, 3) spherical harmonics in the photo's camera frame."""
        return replace(self, code=self.code.with_light(illumination.astype(np.float32)))

    def with_layer(self, layer: Layer) -> ViewerState:
        """Copy that shows another layer."""
        return replace(self, layer=layer)

    def with_over_photo(self, over_photo: bool) -> ViewerState:
        """Copy that lays the face over its photo, or not."""
        return replace(self, over_photo=over_photo)


def _with_entry(part: np.ndarray, index: int, value: float) -> np.ndarray:
    changed = part.copy()
    changed[index] = value
    return changed
