# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.apps.cli import main
from facefactor.code.face_code import FaceCode
from facefactor.data.exposure import Exposures
from facefactor.data.mixed_batches import MixedBatch, MixedBatches
from facefactor.data.photographs import PhotoBatches, PhotoCorpus, exact_batch
from facefactor.data.rare_photos import Rarity, rare_expressions
from facefactor.data.synthetic_corpus import SyntheticBatches
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.model import FaceModel, load_face_model
from facefactor.losses.reconstruction import ReconstructionWeights
from facefactor.train import mofa
from facefactor.train.loop import LoopSettings
from facefactor.train.mofa import MofaObjective, MofaSettings, train_mofa

SETTINGS = MofaSettings(batch_size=4, faces=2, pairs=2, num_held_out=4, altered_share=0.0, grey_share=0.0)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def photos(rendered_photos) -> PhotoCorpus:
    return PhotoCorpus(rendered_photos[0])


@pytest.fixture(scope="module")
def truth(rendered_photos) -> FaceCode:
    return FaceCode.unpack(torch.from_numpy(np.stack([face.code.pack() for face in rendered_photos[1][:4]])))


@pytest.fixture(scope="module")
def seen(photos) -> MixedBatch:
    return MixedBatch(exact_batch([photos[number] for number in range(4)]), None)


class Answers(torch.nn.Module):
    """Stands in for an encoder: answers the codes it is given."""

    def __init__(self, code: FaceCode) -> None:
        super().__init__()
        self.packed = torch.nn.Parameter(code.pack().clone())

    def forward(self, crops_srgb):
        return FaceCode.unpack(self.packed)


def parts_of(model: FaceModel, code: FaceCode, batch: MixedBatch, settings: MofaSettings = SETTINGS) -> dict:
    parts = MofaObjective(model, settings)(Answers(code), batch, 0)[1]
    return {name: float(value.detach()) for name, value in parts.items()}


def short_loop(num_steps: int, **given) -> LoopSettings:
    return LoopSettings(
        num_steps=num_steps, warmup_steps=2, log_interval=2, validation_interval=2, checkpoint_interval=2, **given
    )


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_the_true_codes_look_like_their_photos(model, truth, seen):
    right = parts_of(model, truth, seen)
    assert set(right) == {
        "photometric", "shape_prior", "reflectance_prior", "expression_prior", "light_prior", "distance_prior",
        "landmarks", "openings", "population",
    }  # fmt: skip
    # Not zero: some of these eyes are half shut, and lids as close as theirs are taken to meet.
    assert right["landmarks"] < 0.2
    assert right["openings"] < 0.4
    others = truth.map(lambda part: part.roll(1, dims=0))  # each photo with somebody else's code
    wrong = parts_of(model, others, seen)
    assert wrong["photometric"] > 1.5 * right["photometric"]
    assert wrong["landmarks"] > 8 * right["landmarks"]


def test_closed_eyes_that_are_answered_open_cost_by_their_opening(model, truth, seen):
    blinking = truth.expression.clone()
    blinking[:, :2] = 1.0 - blinking[:, :2]  # eyeBlinkLeft and eyeBlinkRight, first in ARKit's order here
    assert parts_of(model, truth.with_expression(blinking), seen)["openings"] > 0.02


def test_without_landmarks_colours_decide_alone(model, truth, seen):
    settings = dataclasses.replace(SETTINGS, landmarks=0.0)
    moved = dataclasses.replace(seen.photos, landmarks_px=seen.photos.landmarks_px + 9.0)
    parts = parts_of(model, truth, MixedBatch(moved, None), settings)
    assert not {"landmarks", "openings"} & set(parts)
    assert parts == pytest.approx(parts_of(model, truth, seen, settings))


def test_every_part_of_the_code_has_a_gradient_from_colours_alone(model, truth, seen):
    settings = dataclasses.replace(SETTINGS, landmarks=0.0, weights=ReconstructionWeights(1, 0, 0, 0, 0, 0, 0))
    encoder = Answers(truth)
    MofaObjective(model, settings)(encoder, seen, 0)[0].backward()
    gradient = FaceCode.unpack(encoder.packed.grad.clamp(-1, 1).abs().clamp(0, 1))
    for name in ("shape", "expression", "reflectance", "rotation", "translation", "illumination"):
        part = getattr(gradient, name)
        assert part.isfinite().all(), name
        assert part.max() > 0, name


def test_what_lies_outside_the_photo_is_not_compared(model, truth, seen):
    coverage = torch.ones(4, 128, 128, dtype=torch.bool)
    coverage[:, :, 64:] = False
    spoiled = seen.photos.crops_srgb.clone()
    spoiled[:, :, :, 66:] = 0.0  # two pixels in, as colours are read between pixels
    losses = [
        parts_of(model, truth, MixedBatch(dataclasses.replace(seen.photos, crops_srgb=crops, coverage=covered), None))
        for crops, covered in ((seen.photos.crops_srgb, coverage), (spoiled, coverage), (spoiled, None))
    ]
    assert losses[1]["photometric"] == pytest.approx(losses[0]["photometric"], rel=0.05)
    assert losses[2]["photometric"] > 1.3 * losses[0]["photometric"]


def test_rendered_faces_add_the_loss_of_their_exact_codes(model, photos, faces, truth, seen):
    known = faces.read(range(4))
    both = MixedBatch(seen.photos, known)
    doubled = truth.map(lambda part: torch.cat((part, part)))
    assert parts_of(model, doubled, both)["faces"] < 1e-3
    wrong = truth.map(lambda part: torch.cat((part, part.roll(1, dims=0))))
    assert parts_of(model, wrong, both)["faces"] > 0.1


def test_rendered_faces_that_are_answered_with_other_eyes_cost_by_their_opening(model, faces, truth, seen):
    both, doubled = MixedBatch(seen.photos, faces.read(range(4))), truth.map(lambda part: torch.cat((part, part)))
    blinking = doubled.expression.clone()
    blinking[4:, :2] = 1.0 - blinking[4:, :2]
    costs = [
        parts_of(model, doubled.with_expression(blinking), both, dataclasses.replace(SETTINGS, faces_openings=weight))
        for weight in (0.0, 10.0)
    ]
    assert costs[1]["faces"] > costs[0]["faces"] + 0.005


def test_a_pair_is_explained_by_each_others_shape_and_skin(model, truth, seen):
    """Answers that hold each other's identity explain a pair as well as the true codes explain the photos."""
    pairs = MixedBatch(seen.photos, pairs=seen.photos)
    right = parts_of(model, truth, seen)
    exchanged = truth.map(lambda part: part[[1, 0, 3, 2]])
    partners = truth.with_shape(exchanged.shape).with_reflectance(exchanged.reflectance)
    twice = FaceCode.unpack(torch.cat((truth.pack(), partners.pack())))
    assert parts_of(model, twice, pairs) == pytest.approx(right, rel=1e-4)
    own = FaceCode.unpack(torch.cat((truth.pack(), truth.pack())))
    assert parts_of(model, own, pairs)["landmarks"] > 3 * right["landmarks"]


def test_darkened_photos_want_darker_light_and_the_same_skin(model, truth, seen, monkeypatch):
    gain = torch.tensor([0.25, 0.5, 0.25, 0.5])
    chosen = Exposures(gain, torch.zeros(4, dtype=torch.bool))
    right = parts_of(model, truth, seen)
    monkeypatch.setattr(mofa.Exposures, "draw", lambda *arguments: chosen)
    darker = parts_of(model, truth.with_light(gain[:, None, None] * truth.illumination), seen)
    assert darker["photometric"] < right["photometric"]  # dark colours are nearer to each other
    assert darker["light_prior"] <= right["light_prior"]
    bright = parts_of(model, truth, seen)
    assert bright["light_prior"] > 1.5 * darker["light_prior"]
    assert bright["photometric"] > 2 * darker["photometric"]


def test_exact_codes_of_darkened_faces_have_darker_light(model, faces, truth, seen, monkeypatch):
    both = MixedBatch(seen.photos, faces.read(range(4)))
    chosen = Exposures(torch.full((4,), 0.3), torch.zeros(4, dtype=torch.bool))
    monkeypatch.setattr(mofa.Exposures, "draw", lambda *arguments: chosen)
    dim = truth.with_light(0.3 * truth.illumination)
    right = parts_of(model, FaceCode.unpack(torch.cat((dim.pack(), dim.pack()))), both)["faces"]
    bright = parts_of(model, FaceCode.unpack(torch.cat((dim.pack(), truth.pack()))), both)["faces"]
    assert right < 1e-3
    assert bright > right + 0.005


def test_photos_of_the_same_people_are_drawn_beside_the_others(model, photos, faces, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(mofa, "MixedBatches", lambda *sources: made.append(MixedBatches(*sources)) or made[-1])
    monkeypatch.setattr(PhotoCorpus, "name", lambda self, number: f"frames/p{number % 3}_{number}.jpg")
    train_mofa(photos, faces, model, tmp_path, SETTINGS, short_loop(2), persons=photos)
    assert len(made[0][0].pairs) == 2 * SETTINGS.pairs
    assert (logged(tmp_path)[0]["photometric"]) > 0


def test_a_few_photos_are_learnt_by_heart(model, photos, seen, tmp_path, monkeypatch):
    monkeypatch.setattr(MixedBatches, "from_step", lambda self, first, workers=0: itertools.repeat(seen))
    loop = LoopSettings(
        num_steps=60,
        learning_rate=1e-3,
        warmup_steps=5,
        log_interval=10,
        validation_interval=60,
        checkpoint_interval=60,
    )
    train_mofa(photos, None, model, tmp_path, SETTINGS, loop)
    lines = [line for line in logged(tmp_path) if line["part"] == "train"]
    assert lines[-1]["landmarks"] < 0.5 * lines[0]["landmarks"]
    assert lines[-1]["photometric"] < 0.9 * lines[0]["photometric"]


def test_a_resumed_run_ends_where_an_unbroken_one_does(model, photos, faces, tmp_path, monkeypatch):
    whole = train_mofa(photos, faces, model, tmp_path / "whole", SETTINGS, short_loop(4))

    class Stop(Exception):
        pass

    original = MofaObjective.__call__

    def stop_at_the_last_step(self, encoder, batch, step):
        if step == 3:
            raise Stop
        return original(self, encoder, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(mofa.MofaObjective, "__call__", stop_at_the_last_step)
        with pytest.raises(Stop):
            train_mofa(photos, faces, model, tmp_path / "broken", SETTINGS, short_loop(4))
    resumed = train_mofa(photos, faces, model, tmp_path / "broken", SETTINGS, short_loop(4), resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_held_out_photos_are_never_learnt_from(model, photos, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(mofa, "MixedBatches", lambda *sources: made.append(sources) or MixedBatches(*sources))
    measured = []
    monkeypatch.setattr(
        mofa,
        "HeldOutPhotos",
        lambda corpus, numbers, face: measured.append(numbers) or (lambda encoder: {"error": 1.0}),
    )
    train_mofa(photos, None, model, tmp_path, SETTINGS, short_loop(2))
    assert len(measured[0]) == 4
    drawn = made[0][0].numbers
    assert not set(measured[0]) & set(drawn)
    assert len(set(drawn)) == len(photos) - 4
    rare = rare_expressions(photos, sorted(set(drawn)))
    repeats = SETTINGS.rare.wink, SETTINGS.rare.closed, SETTINGS.rare.open_mouth
    again = sum(times * len(rare[kind]) for times, kind in zip(repeats, Rarity, strict=True))
    assert len(drawn) == len(photos) - 4 + again
    assert again > 0


def test_batches_hold_as_many_photos_and_faces_as_asked_for(photos, faces):
    batches = MixedBatches(PhotoBatches(photos, 3, numbers=(1, 4, 7)), SyntheticBatches(((faces, 2),)))
    assert (len(batches[0].photos), len(batches[0].faces)) == (3, 2)
    assert MixedBatches(PhotoBatches(photos, 3), None)[0].faces is None


def test_one_photo_is_too_few(model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(PhotoCorpus, "__len__", lambda self: 1)
    with pytest.raises(AssetMissing, match="more than one photo"):
        train_mofa(photos, None, model, tmp_path, SETTINGS, short_loop(2))


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": 0}, {"faces": 0}, {"landmarks": -1.0}, {"faces_weight": -0.1}, {"loader_workers": -1},
     {"pairs": 0}, {"population": -1.0}, {"altered_share": -0.1}, {"grey_share": 1.1}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(ValueError, match="must be at least"):
        MofaSettings(**wrong)


def test_the_command_trains_and_says_where_the_weights_are(rendered_photos, tmp_path, capsys):
    folder = rendered_photos[0]
    arguments = ["train", "mofa", "--corpus", str(folder), "--steps", "1", "--batch-size", "2", "--landmarks", "0"]
    assert main([*arguments, "--loader-workers", "0", "--out", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "run" / "weights.safetensors")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["config"]["regime"], record["config"]["landmarks"]) == ("mofa", 0.0)


def test_a_corpus_of_rendered_faces_is_no_corpus_of_photos(stored_faces_folders):
    with pytest.raises(IncompatibleCode, match="is a corpus of synthetic, expected photographs"):
        PhotoCorpus(stored_faces_folders[0])
