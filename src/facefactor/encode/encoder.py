# SPDX-License-Identifier: Apache-2.0
"""Crop to FaceCode: the backbone and one linear head per part, whose answers are in the code's units.

Place in the flow: after `photo.crop`, before `face`, `camera` and `light`; what `train/` trains and `infer/` exports.
The heads' last layer starts at zero, so that the untrained network answers the mean face at its nominal place in
ordinary light. With u the raw answer of a head:

    shape, reflectance   u, standard deviations
    expression           u clamped to [0, 1]; the gradient passes unless it pushes further out
    rotation             u, axis-angle, radians
    translation          (0, 0, −1000) + TRANSLATION_SCALE_MM · u
    illumination         ambient light of strength one + u
    correctives          u + what the second look reads, or of that the rectified hidden layer

- Expression weights are mostly exactly zero, which a sigmoid reaches only at infinity, where its gradient ends. The
  clamp starts at zero, is linear inside, and a weight outside comes back as soon as the loss asks for it.
- Rotation: the continuous 6D form (Zhou et al. 2019, arXiv:1812.07035) is for all of SO(3). Heads in crops turn by
  much less than 180° from the nominal pose, where axis-angle is as smooth, needs no way back from a matrix, and zero
  means the nominal pose. On landmarks of random heads a small network erred by 1.6° with it and by 1.5° with 6D at the
  better of two learning rates, less than what pictures add.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.code.face_code import CORRECTIVE_PARTS, PART_SHAPES, FaceCode
from facefactor.encode.backbone import NUM_FEATURES, Backbone
from facefactor.encode.second_look import SecondLook

FIRST_OFFSET = 0.05
"""Of the hidden layer of non-linear corrections."""
TRANSLATION_SCALE_MM = (30.0, 30.0, 100.0)
"""How far heads stand from the nominal place: across and down the crop, and in depth."""


class Encoder(nn.Module):
    """The network from crops to face codes.

    Args:
        num_geometry_corrective: corrections of the shape that it answers, for a multi-level model.
        num_reflectance_corrective: the same of the albedo.
        second_look: reads such corrections off what the rest of the answer leaves unexplained; None for none.
        rectified: answer half as many numbers and the corrections as a hidden layer of them, see `RectifiedLayer`.

    Raises:
        ValueError: an odd number of corrections is to be rectified.
    """

    translation_scale: Tensor
    nominal_code: Tensor

    def __init__(
        self,
        num_geometry_corrective: int = 0,
        num_reflectance_corrective: int = 0,
        second_look: SecondLook | None = None,
        rectified: bool = False,
    ) -> None:
        super().__init__()
        numbers = num_geometry_corrective, num_reflectance_corrective
        if rectified and any(number % 2 for number in numbers):
            raise ValueError(f"rectified corrections come in pairs, got {numbers[0]} and {numbers[1]}")
        self.num_geometry_corrective = num_geometry_corrective
        sizes = {name: math.prod(size) for name, size in PART_SHAPES.items()}
        correctives = zip(CORRECTIVE_PARTS, numbers, strict=True)
        sizes |= {name: size // 2 if rectified else size for name, size in correctives if size}
        self.backbone = Backbone()
        self.heads = nn.ModuleDict({name: _zero_head(size) for name, size in sizes.items()})
        self.second_look = second_look
        self.rectified = RectifiedLayer(numbers[0] // 2, numbers[1] // 2) if rectified else None
        self.register_buffer("translation_scale", torch.tensor(TRANSLATION_SCALE_MM), persistent=False)
        self.register_buffer("nominal_code", torch.from_numpy(FaceCode.neutral().pack()), persistent=False)

    def forward(self, crops_srgb: Float[Tensor, "batch 3 size size"]) -> "FaceCode[Tensor]":
        """Describe the faces in crops of ENCODER_CROP_PX pixels, sRGB in [0, 1]."""
        return FaceCode.unpack(self.encode_packed(crops_srgb), self.num_geometry_corrective)

    def encode_packed(self, crops_srgb: Float[Tensor, "batch 3 size size"]) -> Float[Tensor, "batch packed"]:
        """The same as one vector a face, ordered as `FaceCode.pack`; reads no value, so that it can be exported."""
        features = self.backbone(crops_srgb)
        raw = {name: head(features) for name, head in self.heads.items()}
        raw["expression"] = clamp_with_gradient(raw["expression"])
        raw["translation"] = self.translation_scale * raw["translation"]
        base = self.nominal_code + torch.cat([raw[name] for name in PART_SHAPES], dim=-1)
        answered = [raw[name] for name in CORRECTIVE_PARTS if name in raw]
        if not answered:
            return base
        corrections = torch.cat(answered, dim=-1)
        if self.second_look is not None:
            corrections = corrections + self.second_look(crops_srgb, base)
        if self.rectified is not None:
            corrections = self.rectified(corrections)
        return torch.cat((base, corrections), dim=-1)

    @torch.no_grad()
    def divide_corrections(self, units: Float[Tensor, " corrections"]) -> None:
        """Answer the corrections in other units, those of geometry first."""
        last = [self.heads[name] for name in CORRECTIVE_PARTS if name in self.heads]
        if self.rectified is not None:
            last = list(self.rectified.layers)
        elif self.second_look is not None:
            self.second_look.reader.weight.div_(units[:, None])
        first = 0
        for layer in last:
            assert isinstance(layer, nn.Linear)
            unit = units[first : first + layer.out_features]
            layer.weight.div_(unit[:, None])
            layer.bias.div_(unit)
            first += layer.out_features


class RectifiedLayer(nn.Module):
    """The hidden layer of the paper's non-linear corrections (arXiv:1712.02859, section 5): max(0, W δ + b).

    The paper's corrections are F(δ) = Θ max(0, W δ + b). Since Θ, the last layer, is linear, a code that holds the
    hidden layer in place of δ is a code of a linear model, which all that decodes, fits and exports takes as it is.
    At the start W is [1; −1], and with Θ in such pairs too F is about linear: learning bends it. The offsets start a
    little above zero, where both of a pair have a gradient; at zero itself neither has.

    Args:
        num_geometry: numbers δ of the geometry; twice as many come out.
        num_reflectance: the same of the albedo.
    """

    def __init__(self, num_geometry: int, num_reflectance: int) -> None:
        super().__init__()
        self.sizes = num_geometry, num_reflectance
        self.layers = nn.ModuleList(_mirrored_layer(size) for size in self.sizes)

    def forward(self, latent: Float[Tensor, "batch numbers"]) -> Float[Tensor, "batch corrections"]:
        """Twice as many numbers, none below zero."""
        parts = zip(self.layers, latent.split(self.sizes, dim=-1), strict=True)
        return torch.cat([layer(part) for layer, part in parts], dim=-1).relu()


def clamp_with_gradient(raw: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Clamp to [0, 1]; a value outside gets the gradients that bring it back, and no others.

    Descending along them is projected gradient descent, except that a value may rest outside. With a plain clamp it
    could never return.
    """
    return _ClampWithGradient.apply(raw) if torch.is_grad_enabled() else raw.clamp(0.0, 1.0)


def _zero_head(size: int) -> nn.Linear:
    head = nn.Linear(NUM_FEATURES, size)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _mirrored_layer(size: int) -> nn.Linear:
    """Answers its arguments and their opposites, and FIRST_OFFSET more."""
    layer = nn.Linear(size, 2 * size)
    with torch.no_grad():
        layer.weight.copy_(torch.cat((torch.eye(size), -torch.eye(size))))
        nn.init.constant_(layer.bias, FIRST_OFFSET)
    return layer


class _ClampWithGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, raw: Tensor) -> Tensor:
        context.save_for_backward(raw)
        return raw.clamp(0.0, 1.0)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (raw,), (gradient,) = context.saved_tensors, gradients
        # Descent moves against the gradient: a positive one lowers the value.
        pushes_out = ((raw < 0.0) & (gradient > 0.0)) | ((raw > 1.0) & (gradient < 0.0))
        return gradient.masked_fill(pushes_out, 0.0)
