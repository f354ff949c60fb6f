# SPDX-License-Identifier: Apache-2.0
"""Write networks and the face model as ONNX graphs, which run without torch.

`predictor.py` runs the encoder, `photo/network_landmarks.py` the landmark network; the decoder's graph is for other
programs and languages.

    encoder.onnx     crops (batch, 3, 128, 128), sRGB in [0, 1]  →  code (batch, 245), packed
    decoder.onnx     code   →  vertices_mm, albedo_linear (batch, V, 3); landmarks68_px, landmarks478_px
    landmarks.onnx   crops  →  points_px (batch, 478, 2); visibility (batch, 478), face (batch), in [0, 1]

Normalisations are folded into the convolutions before them. Numbers that float16 holds exactly are stored in it and
widened when a graph is loaded, so arithmetic stays in float32: that is every basis of the face model, which its file
stores as float16 as well, and the networks' kernels, which `fold` rounds.
"""

import contextlib
import copy
import logging
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from facefactor.code.face_code import PACKED_SIZE, PART_SHAPES, REFLECTANCE_SIZE, SHAPE_SIZE
from facefactor.data.crops import mirror_permutation
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.encoder import Encoder
from facefactor.encode.landmark_network import LandmarkNetwork
from facefactor.errors import require
from facefactor.export.atomic import write_bytes
from facefactor.face.correctives import LEARNED_FILE, Correctives, corrected_model, save_correctives
from facefactor.face.model import FaceModel
from facefactor.infer.decoder import DecodedFaces, Decoder
from facefactor.infer.predictor import ENCODER_FILE, ENCODER_FORMAT, NUM_GEOMETRY
from facefactor.photo.network_landmarks import LANDMARK_FORMAT, LANDMARK_OUTPUTS

OPSET, IR_VERSION = 20, 10
"""Versions of ONNX that onnxruntime 1.20 reads."""
DECODER_FILE, DECODER_FORMAT = "decoder.onnx", "facefactor.decoder/1"
LEAST_HALVED = 256
"""Smaller arrays are left alone."""

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def export_graphs(encoder: Encoder, model: FaceModel, folder: Path, facts: Mapping[str, str]) -> None:
    """Write both graphs into a folder.

    Args:
        encoder: trained for the face model.
        model: the face model.
        folder: made if needed.
        facts: kept in the encoder's file, such as what trained it.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        OutputUnwritable: the folder cannot be written to.
    """
    export_encoder(encoder, folder / ENCODER_FILE, {**facts, "model_hash": model.model_hash})
    export_decoder(model, folder / DECODER_FILE)


def export_learned_model(encoder: Encoder, correctives: Correctives, model: FaceModel, folder: Path) -> None:
    """Write what a multi-level run learnt: the corrections with their encoder in one file, and the decoder's graph.

    Args:
        encoder: that answers the corrections.
        correctives: of the face model; their facts are kept in the encoder's graph too.
        model: the face model that they correct.
        folder: made if needed.

    Raises:
        MissingExtra, OutputUnwritable: see `export_graphs`.
    """
    corrected = corrected_model(model, correctives)
    save_correctives(with_encoder(correctives, encoder, corrected), folder / LEARNED_FILE)
    export_decoder(corrected, folder / DECODER_FILE)


def with_encoder(correctives: Correctives, encoder: Encoder, corrected: FaceModel) -> Correctives:
    """Put an encoder's graph beside the corrections that it answers; see `export_learned_model`.

    Args:
        correctives: of a face model.
        encoder: that answers them.
        corrected: the face model with them.
    """
    facts = {**correctives.facts, "model_hash": corrected.model_hash}
    return replace(correctives, encoder_graph=encoder_graph(encoder, facts))


def export_encoder(encoder: Encoder, path: Path, facts: Mapping[str, str]) -> None:
    """Write the encoder's graph; see `export_graphs`."""
    write_bytes(path, encoder_graph(encoder, facts))


def encoder_graph(encoder: Encoder, facts: Mapping[str, str]) -> bytes:
    """Make the encoder's graph; see `export_graphs`."""
    example = torch.zeros(3, 3, ENCODER_CROP_PX, ENCODER_CROP_PX)
    facts = {**facts, "format": ENCODER_FORMAT, NUM_GEOMETRY: str(encoder.num_geometry_corrective)}
    return _make_graph(_Packed(fold(encoder)), example, "crops", ("code",), facts)


def export_decoder(model: FaceModel, path: Path) -> None:
    """Write the face model's graph; see `export_graphs`."""
    facts = {"format": DECODER_FORMAT, "model_hash": model.model_hash}
    example = torch.zeros(3, PACKED_SIZE + sum(_num_corrections(model)))
    write_bytes(path, _make_graph(_Decoding(model), example, "code", DecodedFaces._fields, facts))


def export_landmark_network(network: LandmarkNetwork, path: Path, facts: Mapping[str, str]) -> None:
    """Write the landmark network's graph; see the module's table.

    Args:
        network: trained.
        path: of the file; folders are made if needed.
        facts: kept in the file, such as what trained it.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        OutputUnwritable: the file cannot be written.
    """
    example, facts = torch.zeros(3, 3, ENCODER_CROP_PX, ENCODER_CROP_PX), {**facts, "format": LANDMARK_FORMAT}
    write_bytes(path, _make_graph(_MirrorMean(fold(network)), example, "crops", LANDMARK_OUTPUTS, facts))


def fold(network: NetworkT) -> NetworkT:
    """Copy a network as it is exported: normalisations folded into kernels, kernels rounded to float16.

    Kernels that float16 cannot hold, as channels that hardly vary get when they are normalised, stay as they are.

    Returns:
        A float32 network for evaluation only; its answers differ from the network's by the rounding.
    """
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if isinstance(module, nn.Sequential):
            _fold_normalisation(module)
    with torch.no_grad():
        for parameter in folded.parameters():
            rounded = parameter.half().float()
            if parameter.ndim > 1 and bool(rounded.isfinite().all()):
                parameter.copy_(rounded)
    return folded.requires_grad_(False)


class _Packed(nn.Module):
    """The encoder with its packed answer as the forward pass, since a graph knows no FaceCode."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, crops: Tensor) -> Tensor:
        return self.encoder.encode_packed(crops)


class _Decoding(nn.Module):
    """A face model's decoder with a packed code as its argument."""

    def __init__(self, model: FaceModel) -> None:
        super().__init__()
        self.decoder = Decoder.of(model).map(torch.from_numpy)
        self.sizes = [math.prod(size) for size in PART_SHAPES.values()] + list(_num_corrections(model))

    def forward(self, packed: Tensor) -> tuple[Tensor, ...]:
        # All but the light, which faces do not depend on.
        shape, expression, reflectance, rotation, translation, _, *corrections = packed.split(self.sizes, dim=1)
        full = [torch.cat(parts, dim=1) for parts in zip((shape, reflectance), corrections, strict=True)]
        return tuple(self.decoder.decode_parts(full[0], expression, full[1], rotation, translation))


class _MirrorMean(nn.Module):
    """The landmark network as it is exported: its mean answer to a crop and to the crop's mirror image.

    The mean errs by a twentieth less than one answer (measured). Log odds become probabilities.
    """

    partners: Tensor

    def __init__(self, network: LandmarkNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("partners", torch.from_numpy(mirror_permutation()))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        answer, mirrored = self.network(crops), self.network(crops.flip(-1))
        across, down = mirrored.points_px[:, self.partners].unbind(dim=-1)
        points_px = (answer.points_px + torch.stack((ENCODER_CROP_PX - across, down), dim=-1)) / 2
        visibility = (answer.visibility_logits.sigmoid() + mirrored.visibility_logits[:, self.partners].sigmoid()) / 2
        return points_px, visibility, (answer.face_logits.sigmoid() + mirrored.face_logits.sigmoid()) / 2


def _fold_normalisation(layers: nn.Sequential) -> None:
    """Join a convolution or linear layer with the normalisation after it, where the sequence starts so."""
    if len(layers) < 2:
        return
    first, second = layers[0], layers[1]
    if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
        layers[0], layers[1] = fuse_conv_bn_eval(first, second), nn.Identity()
    elif isinstance(first, nn.Linear) and isinstance(second, nn.BatchNorm1d):
        layers[0], layers[1] = fuse_linear_bn_eval(first, second), nn.Identity()


def _num_corrections(model: FaceModel) -> tuple[int, int]:
    """How many corrections of geometry and of reflectance a face model has."""
    return len(model.shape_basis) - SHAPE_SIZE, len(model.reflectance_basis) - REFLECTANCE_SIZE


@torch.no_grad()
def _make_graph(
    network: nn.Module, example: Tensor, name: str, outputs: tuple[str, ...], facts: Mapping[str, str]
) -> bytes:
    require("onnx", "export", "writing ONNX graphs")
    require("onnxscript", "export", "writing ONNX graphs")
    network.eval()
    with FlopCounterMode(display=False) as counter:
        network(example[:1])
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            verbose=False,
        )
    assert program is not None
    graph = program.model_proto
    graph.ir_version = IR_VERSION
    for key, value in {**facts, "flops_per_face": str(counter.get_total_flops())}.items():
        graph.metadata_props.add(key=key, value=value)
    _store_exact_halves(graph.graph)
    for node in graph.graph.node:
        del node.metadata_props[:]  # the exporter's stack traces, with this machine's paths
    return graph.SerializeToString()


def _store_exact_halves(graph: Any) -> None:
    """Keep float32 constants whose values float16 holds exactly as float16, and widen them by a Cast node."""
    import onnx

    casts = []
    for constant in graph.initializer:
        values = onnx.numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LEAST_HALVED:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = constant.name
            constant.CopyFrom(onnx.numpy_helper.from_array(halves, name + "_half"))
            casts.append(onnx.helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about optional packages and its own deprecations from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
