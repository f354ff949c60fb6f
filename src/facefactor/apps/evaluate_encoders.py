# SPDX-License-Identifier: Apache-2.0
"""The suite `facefactor evaluate encoders`: compare trained weights on rendered faces and on a prepared corpus."""

from pathlib import Path
from typing import NamedTuple

from torch import nn

from facefactor.data.photographs import PhotoCorpus
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.encode.encoder import Encoder
from facefactor.errors import FaceError
from facefactor.evaluate.encoders import (
    FIRST_FACE,
    EncoderMeter,
    draw_encoder_sheet,
    photo_suite,
    rendered_suite,
    write_encoder_report,
)
from facefactor.face.correctives import corrected_model
from facefactor.face.fade import face_opacity
from facefactor.face.model import FaceModel, load_face_model
from facefactor.train.checkpoint import load_weights
from facefactor.train.multilevel import BaseLevel, holds_corrections, network_of_weights

NUM_RENDERED = 512


def evaluate_encoders(data: Path, runs: list[str], out: Path) -> int:
    """Measure encoders, and write the report with a sheet of each.

    Args:
        data: folder of a prepared corpus of photos that no run has learnt from.
        runs: NAME=WEIGHTS, a safetensors file or the folder of a run, at least one.
        out: folder of the report.

    Raises:
        FaceError: no run is named, or two have one name.
        AssetMissing: there is no such corpus or file.
        IncompatibleCode: it is something else.
        OutputUnwritable: the report cannot be written.
    """
    paths = _parse_runs(runs)
    model = load_face_model()
    contenders = {
        name: contender for run, path in paths.items() for name, contender in _read_contenders(run, path, model).items()
    }
    photos, faces = PhotoCorpus(data), SyntheticFaces(SyntheticSettings(), model=model)
    suites = rendered_suite(faces, NUM_RENDERED), photo_suite(photos, model)
    meters = {name: EncoderMeter(contender.model) for name, contender in contenders.items()}
    measures = [
        meters[name].measure(name, contender.encoder, suite)
        for suite in suites
        for name, contender in contenders.items()
    ]
    opacity = face_opacity(model)
    sheets = {
        name: draw_encoder_sheet(contender.encoder, suites[1], contender.model, opacity)
        for name, contender in contenders.items()
    }
    facts = {
        "photos": str(data),
        "rendered faces": f"{NUM_RENDERED} of seed {faces.settings.seed}, from number {FIRST_FACE}",
        "face model": model.model_hash,
        **{f"encoder {name}": str(path) for name, path in paths.items()},
    }
    write_encoder_report(out, measures, sheets, facts)
    print((out / "report.md").read_text(encoding="utf-8"), end="")
    return 0


def _parse_runs(runs: list[str]) -> dict[str, Path]:
    """Weights files by name."""
    pairs = [run.partition("=") for run in runs]
    names = [name for name, _, path in pairs if name and path]
    if not runs or len(set(names)) < len(runs):
        raise FaceError("evaluate encoders needs --run NAME=WEIGHTS for each encoder, with different names")
    paths = {name: Path(path) for name, _, path in pairs}
    return {name: path / "weights.safetensors" if path.is_dir() else path for name, path in paths.items()}


class _Contender(NamedTuple):
    """What is measured, in evaluation mode."""

    encoder: nn.Module
    model: FaceModel
    """What its answers are codes of."""


def _read_contenders(name: str, path: Path, model: FaceModel) -> dict[str, _Contender]:
    """An encoder, or both levels of a multi-level network, by the names of their rows."""
    if not holds_corrections(path):
        encoder = Encoder()
        load_weights(encoder, path)
        return {name: _Contender(encoder.eval(), model)}
    network = network_of_weights(path, model)
    facts = load_weights(network, path)
    encoder, correctives = network.learned_model(facts)
    final = _Contender(encoder.eval(), corrected_model(model, correctives))
    return {f"{name}, base": _Contender(BaseLevel(encoder).eval(), model), f"{name}, final": final}
