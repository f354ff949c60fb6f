# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import json
from itertools import islice
from pathlib import Path

import pytest
import torch

from facefactor.data.batch import CropBatch
from facefactor.data.shards import SYNTHETIC, CorpusRecord, write_corpus_record, write_shard
from facefactor.data.synthetic import SyntheticFaces
from facefactor.data.synthetic_corpus import SyntheticCorpus
from facefactor.data.synthetic_sample import encode_synthetic_sample
from facefactor.encode.encoder import Encoder
from facefactor.errors import FaceError
from facefactor.losses.landmark import CropLandmarks
from facefactor.photo.landmarks import IBUG_51_FROM_478
from facefactor.train import inverse
from facefactor.train.checkpoint import load_weights
from facefactor.train.devices import Devices
from facefactor.train.inverse import HeldOutFaces, InverseSettings, synthetic_settings, train_inverse
from facefactor.train.loop import LoopSettings

SETTINGS = InverseSettings(batch_size=8, num_held_out=16)


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(synthetic_settings(SETTINGS, seed=0))


@pytest.fixture(scope="module")
def corpus(faces, tmp_path_factory) -> SyntheticCorpus:
    folder = tmp_path_factory.mktemp("corpus")
    stored = SyntheticFaces(dataclasses.replace(faces.settings, border_px=16), model=faces.model)
    samples = [encode_synthetic_sample(face, f"face-{number}") for number, face in enumerate(stored.make(range(12)))]
    shard = write_shard(folder / "synthetic-000000.tar", samples)
    write_corpus_record(folder, CorpusRecord(SYNTHETIC, (shard,), complete=True))
    return SyntheticCorpus(folder)


def short_loop(num_steps: int, **given) -> LoopSettings:
    return LoopSettings(
        num_steps=num_steps, warmup_steps=2, log_interval=2, validation_interval=2, checkpoint_interval=2, **given
    )


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


class MarkingEncoder(torch.nn.Module):
    """Stands in for an encoder: answers the codes it is given."""

    def __init__(self, batch: CropBatch) -> None:
        super().__init__()
        self.code = batch.code
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, crops_srgb):
        return self.code


def test_exact_answers_have_no_error_on_held_out_faces(faces):
    batch = faces.make_batch(inverse.HELD_OUT_FIRST, 16)
    errors = HeldOutFaces(faces, 16)(MarkingEncoder(batch))
    # The exact landmarks are drawn from the same mesh: float32 rounding of pixels is all that is left.
    assert errors["landmark_percent"] < 0.01
    assert errors["rotation_deg"] < 0.05
    assert max(value for name, value in errors.items() if name.endswith("_distance")) == 0.0


def test_the_landmark_error_is_that_of_the_inner_points_over_the_box(faces):
    batch = faces.make_batch(inverse.HELD_OUT_FIRST, 16)
    held_out = HeldOutFaces(faces, 16)
    measured = held_out(Encoder().eval())["landmark_percent"]
    with torch.no_grad():
        mean_face = CropLandmarks(faces.model).project(Encoder().eval()(batch.crops_srgb))
    expected = []
    for guess, truth in zip(mean_face, batch.landmarks_px, strict=True):
        width, height = (truth.max(dim=0).values - truth.min(dim=0).values).tolist()
        error = (guess - truth)[list(IBUG_51_FROM_478)].norm(dim=1).mean()
        expected.append(100 * float(error) / (width * height) ** 0.5)
    assert measured == pytest.approx(float(torch.tensor(expected).median()), rel=1e-4)


def test_a_few_faces_are_learnt_by_heart(faces, tmp_path, monkeypatch):
    batch = faces.make_batch(0, 8)
    monkeypatch.setattr(inverse, "_batches", lambda *arguments: itertools.repeat(batch))
    loop = LoopSettings(num_steps=60, warmup_steps=5, log_interval=10, validation_interval=60, checkpoint_interval=60)
    train_inverse(faces, tmp_path, SETTINGS, loop)
    losses = [line["loss"] for line in logged(tmp_path) if line["part"] == "train"]
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("is_written", [False, True])
def test_a_resumed_run_ends_where_an_unbroken_one_does(faces, corpus, tmp_path, monkeypatch, is_written):
    given = {"corpus": corpus} if is_written else {}
    whole = train_inverse(faces, tmp_path / "whole", SETTINGS, short_loop(4), **given)
    interrupted = tmp_path / "interrupted"

    class Stop(Exception):
        pass

    def stop_at_the_last_step(objective):
        def wrapped(model, batch, step):
            if step == 3:
                raise Stop
            return objective(model, batch, step)

        return wrapped

    original = inverse.InverseObjective
    with monkeypatch.context() as patch:
        patch.setattr(inverse, "InverseObjective", lambda *arguments: stop_at_the_last_step(original(*arguments)))
        with pytest.raises(Stop):
            train_inverse(faces, interrupted, SETTINGS, short_loop(4), **given)
    resumed = train_inverse(faces, interrupted, SETTINGS, short_loop(4), resume=True, **given)
    for ours, theirs in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert [line["step"] for line in logged(interrupted) if line["part"] == "train"] == [2, 4]


def test_a_run_is_not_resumed_with_another_loss(faces, tmp_path):
    train_inverse(faces, tmp_path, SETTINGS, short_loop(2))
    other = InverseSettings(batch_size=8, num_held_out=16, loss="parameters")
    with pytest.raises(FaceError, match="loss was 'picture' and is 'parameters'"):
        train_inverse(faces, tmp_path, other, short_loop(2), resume=True)


def test_a_run_is_not_resumed_with_other_data(faces, corpus, tmp_path):
    train_inverse(faces, tmp_path, SETTINGS, short_loop(2))
    with pytest.raises(FaceError, match="data_hash was"):
        train_inverse(faces, tmp_path, SETTINGS, short_loop(2), corpus=corpus, resume=True)


def test_weights_start_another_run(faces, tmp_path):
    train_inverse(faces, tmp_path / "first", SETTINGS, short_loop(2))
    weights = tmp_path / "first" / "weights.safetensors"
    still = train_inverse(faces, tmp_path / "second", SETTINGS, short_loop(2, learning_rate=1e-12), init=weights)
    expected = Encoder()
    load_weights(expected, weights)
    for ours, theirs in zip(still.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_processes_share_each_step_without_overlap(faces):
    alone = list(islice(inverse._batches(faces, InverseSettings(batch_size=4), Devices(), 0, seed=0), 4))
    shared = [
        list(islice(inverse._batches(faces, InverseSettings(batch_size=4), Devices(rank=rank, count=2), 0, seed=0), 2))
        for rank in (0, 1)
    ]
    for step in (0, 1):
        for rank in (0, 1):
            assert torch.equal(shared[rank][step].crops_srgb, alone[2 * step + rank].crops_srgb)


def test_all_losses_are_the_least_at_the_truth(faces):
    batch = faces.make_batch(0, 4)
    for loss in inverse.LOSSES:
        objective = inverse.InverseObjective(faces.model, loss)
        exact, _ = objective(MarkingEncoder(batch), batch, 0)
        mean_face, numbers = objective(Encoder().eval(), batch, 0)
        assert 0.0 <= float(exact) < 0.01 * float(mean_face.detach())
        assert set(numbers) == {
            f"{name}_distance"
            for name in ("rotation", "translation", "shape", "expression", "reflectance", "illumination")
        }


@pytest.mark.parametrize("name", ["batch_size", "render_threads", "num_held_out"])
def test_counts_are_at_least_one(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        InverseSettings(**{name: 0})


def test_photos_are_refused_for_want_of_a_code(faces):
    batch = faces.make_batch(0, 2)
    photos = CropBatch(batch.crops_srgb, batch.landmarks_px, batch.visibility)
    with pytest.raises(ValueError, match="codes are known"):
        inverse.InverseObjective(faces.model, "model-space")(Encoder().eval(), photos, 0)
