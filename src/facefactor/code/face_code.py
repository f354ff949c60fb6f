# SPDX-License-Identifier: Apache-2.0
"""FaceCode: the named numbers that describe one face in one scene.

It is the one hand-over between the folders: an encoder or a fit writes it, the face model, the camera and the light
read it, an edit copies it with one part changed. The parts are numpy arrays or torch tensors, all of one kind, with
any leading batch dimensions, the same for every part. This module imports no torch.

    part                   size   meaning
    shape                  80     identity, in standard deviations of the prior
    expression             52     ARKit weights in [0, 1], ordered as EXPRESSION_NAMES
    reflectance            80     albedo, in standard deviations of the prior
    rotation               3      head to camera, axis-angle, radians
    translation            3      head origin in the camera frame, millimetres
    illumination           9×3    spherical harmonics of the light in the camera frame, linear RGB
    geometry_corrective    C_g    learned corrections of the shape; empty unless the model has some
    reflectance_corrective C_r    learned corrections of the albedo; empty unless the model has some
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np

from facefactor.arrays import Array, on_accelerator, to_numpy
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import IncompatibleCode

if TYPE_CHECKING:
    from torch import Tensor

SHAPE_SIZE = 80
REFLECTANCE_SIZE = 80
EXPRESSION_SIZE = len(EXPRESSION_NAMES)
NOMINAL_DISTANCE_MM = 1000.0
"""Where a face stands before anything is known about it."""

PART_SHAPES: dict[str, tuple[int, ...]] = {
    "shape": (SHAPE_SIZE,),
    "expression": (EXPRESSION_SIZE,),
    "reflectance": (REFLECTANCE_SIZE,),
    "rotation": (3,),
    "translation": (3,),
    "illumination": (9, 3),
}
"""Trailing dimensions of the parts whose size is fixed, in the order in which they are packed."""
CORRECTIVE_PARTS = ("geometry_corrective", "reflectance_corrective")
PACKED_SIZE = sum(math.prod(dimensions) for dimensions in PART_SHAPES.values())
"""Length of a packed code without correctives."""

Other = TypeVar("Other", bound=Any)


@dataclass(frozen=True, eq=False)
class FaceCode(Generic[Array]):
    """A face in a scene, or a batch of them; see the module's table for the parts.

    Making one checks the sizes, and that every expression weight lies in [0, 1]; the latter not on a GPU, which would
    have to be waited for. Left-out correctives become empty parts.

    Raises:
        ValueError: a part has the wrong size, the parts disagree on the batch, or an expression weight is outside
            [0, 1] or not a number.
    """

    shape: Array
    expression: Array
    reflectance: Array
    rotation: Array
    translation: Array
    illumination: Array
    geometry_corrective: Array = None  # type: ignore[assignment]
    reflectance_corrective: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        for name in CORRECTIVE_PARTS:
            if getattr(self, name) is None:
                object.__setattr__(self, name, self.shape[..., :0])
        _check_sizes(self)
        _check_expression(self.expression)

    @classmethod
    def neutral(cls, batch_shape: tuple[int, ...] = ()) -> "FaceCode[np.ndarray]":
        """Make the mean face without expression, looking at the camera from one metre, in white light of strength one.

        Args:
            batch_shape: leading dimensions of every part.

        Returns:
            A float32 numpy code.
        """
        parts = {name: np.zeros(batch_shape + size, dtype=np.float32) for name, size in PART_SHAPES.items()}
        parts["translation"][..., 2] = -NOMINAL_DISTANCE_MM
        parts["illumination"][..., 0, :] = math.sqrt(4.0 * math.pi)
        return FaceCode(**parts)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading dimensions that all parts share; empty for one face."""
        return tuple(self.shape.shape[:-1])

    @property
    def full_shape(self) -> Array:
        """Shape and its corrections end to end, (…, 80 + C_g): what multiplies a corrected model's shape basis."""
        return _join(self.shape, self.geometry_corrective)

    @property
    def full_reflectance(self) -> Array:
        """Reflectance and its corrections end to end, (…, 80 + C_r)."""
        return _join(self.reflectance, self.reflectance_corrective)

    def with_full_shape(self, full_shape: Array) -> "FaceCode[Array]":
        """Copy with another shape and its corrections, (…, 80 + C_g)."""
        return replace(self, shape=full_shape[..., :SHAPE_SIZE], geometry_corrective=full_shape[..., SHAPE_SIZE:])

    def without_corrections(self) -> "FaceCode[Array]":
        """Copy for the base model, whose codes have none: the base level of a multi-level model's answer."""
        return self.with_correctives(self.shape[..., :0], self.shape[..., :0])

    def with_shape(self, shape: Array) -> "FaceCode[Array]":
        """Copy with another identity shape, (…, 80)."""
        return replace(self, shape=shape)

    def with_expression(self, expression: Array) -> "FaceCode[Array]":
        """Copy with other expression weights, (…, 52) in [0, 1]."""
        return replace(self, expression=expression)

    def with_reflectance(self, reflectance: Array) -> "FaceCode[Array]":
        """Copy with another albedo, (…, 80)."""
        return replace(self, reflectance=reflectance)

    def with_pose(self, rotation: Array, translation: Array) -> "FaceCode[Array]":
        """Copy with another pose: axis-angle (…, 3) in radians and translation (…, 3) in millimetres."""
        return replace(self, rotation=rotation, translation=translation)

    def with_light(self, illumination: Array) -> "FaceCode[Array]":
        """Copy under another light, (…, 9, 3)."""
        return replace(self, illumination=illumination)

    def with_correctives(self, geometry: Array, reflectance: Array) -> "FaceCode[Array]":
        """Copy with other learned corrections, (…, C_g) and (…, C_r)."""
        return replace(self, geometry_corrective=geometry, reflectance_corrective=reflectance)

    def map(self, function: Callable[[Array], Other]) -> "FaceCode[Other]":
        """Apply a function to every part, such as `torch.detach` or a move to another device."""
        return FaceCode(**{name: function(part) for name, part in _parts(self).items()})

    def to_numpy(self) -> "FaceCode[np.ndarray]":
        """Copy with numpy parts; tensors are detached and brought to the CPU, their precision is kept."""
        return self.map(to_numpy)

    def to_torch(self) -> "FaceCode[Tensor]":
        """Copy with torch parts; numpy parts are copied in their precision, tensors are kept. Needs torch."""
        import torch

        return self.map(lambda part: torch.from_numpy(part.copy()) if isinstance(part, np.ndarray) else part)

    def __getitem__(self, index: Any) -> "FaceCode[Array]":
        """Select along the first batch dimension, as the parts themselves would: `code[0]` is the first face."""
        if not self.batch_shape:
            raise IndexError("this code holds one face and has no batch dimension to index")
        return self.map(lambda part: part[index])

    def pack(self) -> Array:
        """Lay the parts end to end, in their order in the table.

        Returns:
            (…, 245 + C_g + C_r); `unpack` takes it apart again. Differentiable for torch parts.
        """
        parts = _parts(self) | {"illumination": self.illumination.reshape(*self.batch_shape, 27)}
        return _join(*parts.values())

    @classmethod
    def unpack(cls, packed: Other, num_geometry_corrective: int = 0) -> "FaceCode[Other]":
        """Take a packed vector apart.

        Args:
            packed: (…, 245 + C_g + C_r).
            num_geometry_corrective: C_g; what is left after it belongs to the reflectance corrective.

        Raises:
            ValueError: the vector is too short.
        """
        if packed.shape[-1] < PACKED_SIZE + num_geometry_corrective:
            wanted = f"at least {PACKED_SIZE} + {num_geometry_corrective}"
            raise ValueError(f"a packed face code must hold {wanted} numbers, got {packed.shape[-1]}")
        parts, start = {}, 0
        for name, dimensions in PART_SHAPES.items():
            stop = start + math.prod(dimensions)
            parts[name] = packed[..., start:stop].reshape(*packed.shape[:-1], *dimensions)
            start = stop
        stop = start + num_geometry_corrective
        return FaceCode(**parts, geometry_corrective=packed[..., start:stop], reflectance_corrective=packed[..., stop:])

    def to_dict(self) -> dict[str, Any]:
        """Write one face as lists and numbers that JSON can hold; the expression weights go by name.

        Raises:
            ValueError: the code holds a batch.
        """
        if self.batch_shape:
            raise ValueError(f"only one face can be written, this code holds a batch of shape {self.batch_shape}")
        lists = {name: part.tolist() for name, part in _parts(self.to_numpy()).items()}
        return {**lists, "expression": dict(zip(EXPRESSION_NAMES, lists["expression"], strict=True))}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "FaceCode[np.ndarray]":
        """Read what `to_dict` wrote; weights that are not named are zero, left-out correctives are empty.

        Returns:
            A float32 numpy code of one face.

        Raises:
            IncompatibleCode: a part is missing, has another size, or an expression is not one of the 52.
        """
        missing = [name for name in PART_SHAPES if name not in record]
        if missing:
            raise IncompatibleCode(f"the face code lacks {', '.join(missing)}")
        if not isinstance(record["expression"], Mapping):
            raise IncompatibleCode("the face code's expression must give weights by name")
        unknown = sorted(set(record["expression"]) - set(EXPRESSION_NAMES))
        if unknown:
            raise IncompatibleCode(f"the face code names unknown expressions: {', '.join(unknown)}")
        weights = [record["expression"].get(name, 0.0) for name in EXPRESSION_NAMES]
        given = {**record, "expression": weights}
        names = [field.name for field in fields(cls) if field.name in given]
        try:
            return FaceCode(**{name: np.asarray(given[name], dtype=np.float32) for name in names})
        except (TypeError, ValueError) as error:
            raise IncompatibleCode(f"the face code does not fit this version: {error}") from None


def _join(*parts: Array) -> Array:
    """Lay arrays of one kind end to end along their last dimension."""
    if isinstance(parts[0], np.ndarray):
        return cast(Array, np.concatenate(parts, axis=-1))
    import torch

    return cast(Array, torch.cat(parts, dim=-1))


def _parts(code: FaceCode[Array]) -> dict[str, Array]:
    return {field.name: getattr(code, field.name) for field in fields(code)}


def _check_sizes(code: FaceCode[Any]) -> None:
    for name, dimensions in PART_SHAPES.items():
        wanted = (*code.batch_shape, *dimensions)
        if tuple(getattr(code, name).shape) != wanted:
            raise ValueError(f"{name} must have shape {wanted}, got {tuple(getattr(code, name).shape)}")
    for name in CORRECTIVE_PARTS:
        if tuple(getattr(code, name).shape[:-1]) != code.batch_shape:
            raise ValueError(
                f"{name} must have shape {(*code.batch_shape, 'any')}, got {tuple(getattr(code, name).shape)}"
            )


def _check_expression(expression: Any) -> None:
    """Refuse weights outside [0, 1]; not on an accelerator, which would have to be waited for at every copy."""
    if math.prod(expression.shape) == 0 or on_accelerator(expression):
        return
    lowest, highest = expression.min().item(), expression.max().item()
    if not (lowest >= 0.0 and highest <= 1.0):
        raise ValueError(f"expression weights must lie in [0, 1], got {lowest:g} to {highest:g}")
