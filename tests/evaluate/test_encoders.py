# SPDX-License-Identifier: Apache-2.0
"""Measuring encoders: exact answers, wrong answers, and how they are reported."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from facefactor.apps.evaluate_encoders import _read_contenders, evaluate_encoders
from facefactor.code.face_code import FaceCode
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing, FaceError
from facefactor.evaluate import encoders
from facefactor.evaluate.encoders import (
    BATCH_SIZE,
    FIRST_FACE,
    EncoderMeasure,
    EncoderMeter,
    _sheet_name,
    draw_encoder_sheet,
    markdown,
    photo_suite,
    rendered_suite,
    write_encoder_report,
)
from facefactor.face.model import load_face_model
from facefactor.losses.model_space import rotation_distance
from facefactor.train.checkpoint import save_weights
from facefactor.train.multilevel import MultilevelNetwork

COUNT = 10


class Answering(nn.Module):
    """Stands in for an encoder that answers given codes."""

    def __init__(self, code: FaceCode[Tensor]) -> None:
        super().__init__()
        self.code, self.weight = code, nn.Parameter(torch.zeros(1))

    def forward(self, crops_srgb: Tensor) -> FaceCode[Tensor]:
        assert len(crops_srgb) == len(self.code.shape) <= BATCH_SIZE
        return self.code


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    clean = {"effects": False, "glasses_share": 0.0, "hand_share": 0.0, "hat_share": 0.0, "scarf_share": 0.0}
    return SyntheticFaces(SyntheticSettings(subdivided=False, **clean))


@pytest.fixture(scope="module")
def truth(faces: SyntheticFaces) -> FaceCode[Tensor]:
    return faces.make_batch(FIRST_FACE, COUNT).code


def test_exact_answers_have_no_error_but_what_codes_cannot_say(faces: SyntheticFaces, truth: FaceCode[Tensor]) -> None:
    suite, meter = rendered_suite(faces, COUNT), EncoderMeter(faces.model)
    exact = meter.measure("exact", Answering(truth), suite)
    assert exact.rotation_deg < 0.05
    assert exact.landmark_percent < 0.02
    assert exact.photometric < 0.7 * exact.baseline  # cast shadows, gloss and pores are in no code
    turned = truth.with_pose(truth.rotation * 1.0, truth.translation + torch.tensor([5.0, 0.0, 0.0]))
    moved = meter.measure("moved", Answering(turned), suite)
    assert moved.rotation_deg < 0.05
    side_mm = (suite.side_px * -truth.translation[:, 2] / (1015 / 224 * 128)).median()
    assert moved.landmark_percent == pytest.approx(100 * 5.0 / float(side_mm), rel=0.1)


def test_landmarks_are_told_apart_by_yaw(faces: SyntheticFaces, truth: FaceCode[Tensor]) -> None:
    suite = rendered_suite(faces, COUNT)
    wrong = truth.translation.clone()
    is_frontal = torch.from_numpy(np.abs(suite.yaw_deg) < 20)
    wrong[is_frontal, 0] += 10.0
    measure = EncoderMeter(faces.model).measure("x", Answering(truth.with_pose(truth.rotation, wrong)), suite)
    assert measure.landmark_percent_by_yaw["0-20"] > 3.0
    others = [value for name, value in measure.landmark_percent_by_yaw.items() if name != "0-20" and value == value]
    assert others
    assert max(others) < 0.02


def test_photos_are_posed_by_their_landmarks(rendered_photos: tuple[Path, list], faces: SyntheticFaces) -> None:
    folder, drawn = rendered_photos
    suite = photo_suite(PhotoCorpus(folder), faces.model)
    expected = torch.from_numpy(np.stack([face.code.rotation for face in drawn]))
    off_deg = torch.rad2deg(rotation_distance(suite.rotation, expected).sqrt())
    assert float(off_deg.median()) < 2.5
    assert float(off_deg.max()) < 12.0
    assert len(suite.side_px) == len(drawn)


def test_a_sheet_shows_every_view(rendered_photos: tuple[Path, list], faces: SyntheticFaces, monkeypatch) -> None:
    monkeypatch.setattr(encoders, "SHEET_PHOTOS", 3)
    monkeypatch.setattr(encoders, "SHEET_COLUMNS", 2)
    suite = photo_suite(PhotoCorpus(rendered_photos[0]), faces.model)
    sheet = draw_encoder_sheet(Encoder().eval(), suite, faces.model, np.ones(faces.model.num_vertices, np.float32))
    assert sheet.shape == (2 * 128, 2 * 5 * 128, 3)
    first = (suite.crops_srgb[0].movedim(0, -1) * 255).round().numpy()
    assert np.abs(sheet[:128, :128].astype(int) - first).max() <= 1
    tiles = sheet[:128].reshape(128, 10, 128, 3).transpose(1, 0, 2, 3)
    # two photos and overlays; geometry, albedo and shading are the mean head's in both
    assert len({tile.tobytes() for tile in tiles}) == 7


def test_the_report_has_a_table_of_each_suite(tmp_path: Path) -> None:
    by_yaw = {"0-20": 2.0, "20-40": 3.0, "40-60": float("nan")}
    measures = [
        EncoderMeasure(name, suite, 7, 1.25, 2.5, by_yaw, 0.05, 0.1)
        for suite in ("rendered", "photos")
        for name in "ab"
    ]
    text = markdown(measures, ["a"], {"photos": "somewhere"})
    assert text.count("| a | 1.25 | 2.50 | 2.00 | 3.00 | – | 0.050 | 0.100 | 0.50 |") == 2
    assert "## Photos (7 faces, medians)" in text
    assert "- photos: somewhere" in text
    write_encoder_report(tmp_path, measures, {"a": np.zeros((2, 2, 3), dtype=np.uint8)}, {})
    assert (tmp_path / "sheet_a.png").is_file()
    assert len(json.loads((tmp_path / "report.json").read_text())["measures"]) == 4


@pytest.mark.parametrize("runs", [[], ["a"], ["=x"], ["a=x", "a=y"]])
def test_runs_need_names(runs: list[str], tmp_path: Path) -> None:
    with pytest.raises(FaceError, match="--run NAME=WEIGHTS for each encoder"):
        evaluate_encoders(tmp_path, runs, tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match=r"none\.safetensors: no such file"):
        evaluate_encoders(tmp_path, [f"a={tmp_path / 'none.safetensors'}"], tmp_path)


def test_a_multi_level_run_is_measured_at_both_levels(tmp_path):
    model = load_face_model()
    network = MultilevelNetwork(model, 2, 3)
    torch.nn.init.ones_(network.encoder.heads["geometry_corrective"].bias)
    save_weights(network, tmp_path / "weights.safetensors", {})
    contenders = _read_contenders("run", tmp_path / "weights.safetensors", model)
    assert list(contenders) == ["run, base", "run, final"]
    crop = torch.zeros(1, 3, 128, 128)
    base, final = (contender.encoder(crop) for contender in contenders.values())
    assert base.full_shape.shape[1] == len(contenders["run, base"].model.shape_basis) == 80
    assert final.full_shape.shape[1] == len(contenders["run, final"].model.shape_basis) == 82
    assert _sheet_name("run, final") == "sheet_run_final.png"
