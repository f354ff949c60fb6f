# SPDX-License-Identifier: Apache-2.0
"""The suite `facefactor evaluate encoders`: compare trained weights on rendered faces and on a prepared corpus."""

from pathlib import Path

from facefactor.apps.reconstruction import overlay_opacity
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
from facefactor.face.model import load_face_model
from facefactor.train.checkpoint import load_weights

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
    encoders = {name: _read_encoder(path) for name, path in paths.items()}
    model, photos = load_face_model(), PhotoCorpus(data)
    faces = SyntheticFaces(SyntheticSettings(), model=model)
    suites, meter = (rendered_suite(faces, NUM_RENDERED), photo_suite(photos, model)), EncoderMeter(model)
    measures = [meter.measure(name, encoder, suite) for suite in suites for name, encoder in encoders.items()]
    opacity = overlay_opacity(model)
    sheets = {name: draw_encoder_sheet(encoder, suites[1], model, opacity) for name, encoder in encoders.items()}
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


def _read_encoder(path: Path) -> Encoder:
    encoder = Encoder()
    load_weights(encoder, path)
    return encoder.eval()
