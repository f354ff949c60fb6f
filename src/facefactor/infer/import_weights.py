# SPDX-License-Identifier: Apache-2.0
"""Read a network's weights back from its exported graph, so that training can go on from what ships.

The way back of `export.py`, which folds normalisations into the kernels before them: a normalisation gets the
statistics of its layer's answers to some crops, and the scale and offset that undo them. The network answers as the
graph does, and learns as one that was never folded.
"""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facefactor.errors import AssetMissing, IncompatibleCode, require
from facefactor.paths import why_no_file

_HALF = "_half"
"""Ends the names of constants that are stored as float16; see `export._store_exact_halves`."""


def read_graph_facts(path: Path) -> dict[str, str]:
    """What an exported graph says about itself, "format" among it.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: it is no graph.
        MissingExtra: onnx is not installed.
    """
    return {entry.key: entry.value for entry in _read(path).metadata_props}


@torch.no_grad()
def load_graph_weights(network: nn.Module, path: Path, crops_srgb: Float[Tensor, "batch 3 size size"]) -> None:
    """Copy the weights of an exported graph into a network of the same architecture.

    Args:
        network: whose normalisations each follow a convolution or linear layer in a `Sequential`.
        path: of the graph.
        crops_srgb: some that are typical of what the network sees, for the normalisations' statistics.

    Raises:
        AssetMissing, IncompatibleCode, MissingExtra: see `read_graph_facts`; or the graph is of another network.
    """
    onnx = require("onnx", "export", "reading a graph's weights")
    constants = {
        constant.name.removesuffix(_HALF): torch.from_numpy(onnx.numpy_helper.to_array(constant).astype(np.float32))
        for constant in _read(path).graph.initializer
    }
    normalised = {first: second for first, second in _pairs(network) if isinstance(second, _BatchNorm)}
    undo = {}
    for name, module in network.named_modules():
        if isinstance(module, _BatchNorm):
            continue
        for key, parameter in module.named_parameters(recurse=False):
            parameter.copy_(_find(constants, f"{name}.{key}", parameter, path))
        if module in normalised:
            offset = _find(constants, f"{name}.bias", normalised[module].bias, path)
            undo[module] = _Undo(normalised[module], offset, _normalise_kernels(module.weight))
    hooks = [layer.register_forward_hook(step) for layer, step in undo.items()]
    try:
        network.eval()(crops_srgb)
    finally:
        for hook in hooks:
            hook.remove()


def _normalise_kernels(kernels: Tensor) -> Tensor:
    """Bring each output's kernel to the norm that initialisation gives, and return what it was divided by.

    Folding leaves kernels of any size, and an optimiser's steps are the same for all.
    """
    scale = (kernels.flatten(1).norm(dim=1) / math.sqrt(2)).clamp_min(1e-12)
    kernels /= scale.reshape(-1, *[1] * (kernels.ndim - 1))
    return scale


class _Undo:
    """Before a normalisation sees its layer's answers, sets it so that it scales and moves them, and nothing else."""

    def __init__(self, normalisation: _BatchNorm, offset: Tensor, scale: Tensor) -> None:
        self._normalisation, self._offset, self._scale = normalisation, offset, scale

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        variance, mean = torch.var_mean(output, dim=[axis for axis in range(output.ndim) if axis != 1])
        normalisation = self._normalisation
        normalisation.running_mean.copy_(mean)  # type: ignore[union-attr]
        normalisation.running_var.copy_(variance)  # type: ignore[union-attr]
        normalisation.weight.copy_(self._scale * (variance + normalisation.eps).sqrt())
        normalisation.bias.copy_(self._scale * mean + self._offset)


def _pairs(network: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """The first two layers of each sequence of layers."""
    sequences = [module for module in network.modules() if isinstance(module, nn.Sequential) and len(module) > 1]
    return [(sequence[0], sequence[1]) for sequence in sequences]


def _find(constants: dict[str, Tensor], name: str, parameter: Tensor, path: Path) -> Tensor:
    """The graph's constant of a parameter; the exporter puts the name of the whole network before it.

    Raises:
        IncompatibleCode: there is none of its size.
    """
    found = [value for key, value in constants.items() if key == name or key.endswith(f".{name}")]
    if len(found) != 1 or found[0].shape != parameter.shape:
        raise IncompatibleCode(f"{path}: holds the weights of another network: no {name} of {tuple(parameter.shape)}")
    return found[0]


def _read(path: Path):
    onnx = require("onnx", "export", "reading a graph's weights")
    if reason := why_no_file(path):
        raise AssetMissing(f"{path}: {reason}")
    try:
        return onnx.load(path)
    except Exception as error:
        raise IncompatibleCode(f"{path}: not an ONNX graph: {type(error).__name__}") from None
