# SPDX-License-Identifier: Apache-2.0
"""Learning encoder and face model together, on a few rendered photos."""

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.apps.cli import main
from facefactor.apps.engines import open_engine
from facefactor.data.batch import CropBatch
from facefactor.data.mixed_batches import MixedBatch, MixedBatches
from facefactor.data.photographs import PhotoCorpus, exact_batch
from facefactor.data.synthetic import batch_of
from facefactor.data.synthetic_sample import cut_encoder_crop
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.corrective_bases import CorrectedFace
from facefactor.face.correctives import load_correctives
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.infer.predictor import EncoderGraph
from facefactor.losses.model_space import geometry_distance
from facefactor.train.checkpoint import load_weights, save_weights
from facefactor.train.loop import LoopSettings
from facefactor.train.mofa import MofaSettings
from facefactor.train.multilevel import (
    CorrectiveWeights,
    MultilevelNetwork,
    MultilevelObjective,
    MultilevelSettings,
    network_of_weights,
    train_multilevel,
)
from facefactor.train.residuals import start_from_errors, start_from_residuals

MOFA = MofaSettings(batch_size=4, faces=2, pairs=2, num_held_out=4, altered_share=0.0, grey_share=0.0)
SETTINGS = MultilevelSettings(MOFA, num_geometry=5, num_reflectance=4)
REGULARISERS = {"smoothness": "smoothness", "sparsity": "sparsity", "constancy": "constancy"}


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def photos(rendered_photos) -> PhotoCorpus:
    return PhotoCorpus(rendered_photos[0])


@pytest.fixture(scope="module")
def seen(photos) -> MixedBatch:
    return MixedBatch(exact_batch([photos[number] for number in range(4)]), None)


@pytest.fixture
def network(model) -> MultilevelNetwork:
    """Answers some corrections to any crop."""
    torch.manual_seed(0)
    network = MultilevelNetwork(model, 5, 4)
    for name in ("geometry_corrective", "reflectance_corrective"):
        torch.nn.init.normal_(network.encoder.heads[name].bias)
        torch.nn.init.normal_(network.encoder.heads[name].weight, std=0.01)
    return network.eval()


def loop(num_steps: int, **given) -> LoopSettings:
    return LoopSettings(
        **{
            "num_steps": num_steps, "warmup_steps": 2, "log_interval": 2, "validation_interval": 2,
            "checkpoint_interval": 2, **given,
        }
    )  # fmt: skip


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_an_untrained_network_answers_the_base_level(model, photos, seen):
    network = MultilevelNetwork(model, 5, 4).eval()
    parts = MultilevelObjective(model, SETTINGS)(network, seen, 0)[1]
    for name in ("photometric", "landmarks", "openings"):
        torch.testing.assert_close(parts[f"final_{name}"], parts[name])
    assert parts["smoothness"] == parts["constancy"] == parts["stabilisation"] == 0.0


def test_corrections_cost_by_each_regulariser_and_each_can_be_switched_off(model, network, seen):
    whole = MultilevelObjective(model, SETTINGS)(network, seen, 0)[1]
    for name, field in REGULARISERS.items():
        assert whole[name] > 0, name
        without = dataclasses.replace(SETTINGS, correctives=dataclasses.replace(CorrectiveWeights(), **{field: 0.0}))
        assert MultilevelObjective(model, without)(network, seen, 0)[1][name] == 0, name
    still = dataclasses.replace(CorrectiveWeights(), geometry=0.0, reflectance=0.0)
    parts = MultilevelObjective(model, dataclasses.replace(SETTINGS, correctives=still))(network, seen, 0)[1]
    assert whole["stabilisation"] > parts["stabilisation"] == 0


def test_both_levels_and_both_bases_have_gradients(model, network, seen):
    MultilevelObjective(model, SETTINGS)(network, seen, 0)[0].backward()
    for name in ("bases.geometry", "bases.reflectance", "encoder.heads.shape.weight"):
        gradient = network.get_parameter(name).grad
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name


def rendered(rendered_photos, count: int) -> CropBatch:
    return batch_of([cut_encoder_crop(face) for face in rendered_photos[1][:count]])


def test_rendered_faces_want_no_corrections_of_albedo(model, network, seen, rendered_photos):
    both = MixedBatch(seen.photos, rendered(rendered_photos, 3))
    costs = []
    for weight in (0.0, 1.0):
        given = dataclasses.replace(CorrectiveWeights(), reflectance=weight)
        objective = MultilevelObjective(model, dataclasses.replace(SETTINGS, correctives=given))
        costs.append(float(objective(network, both, 0)[1]["faces"].detach()))
    assert costs[1] > costs[0] + 0.01


def test_rendered_faces_teach_corrections_of_geometry_and_not_the_base_level_by_them(
    model, network, seen, rendered_photos
):
    both = MixedBatch(seen.photos, rendered(rendered_photos, 3))
    gradients = []
    for weight in (0.0, 1.0):
        mofa = dataclasses.replace(MOFA, faces_geometry=weight, faces_weight=0.0, faces_openings=0.0)
        objective = MultilevelObjective(model, dataclasses.replace(SETTINGS, mofa=mofa))
        monitored = network.bases.geometry, network.encoder.heads["geometry_corrective"].bias
        gradients.append(torch.autograd.grad(objective(network, both, 0)[1]["faces"], monitored))
    for without, with_geometry in zip(*gradients, strict=True):
        assert with_geometry.norm() > 5 * without.norm()


def test_corrections_of_geometry_start_from_what_the_base_level_answers_wrongly(model, rendered_photos):
    """An encoder that answers the mean, of more faces than a look could learn by heart with so stiff a map."""
    network = MultilevelNetwork(model, 6, 4)
    faces = rendered(rendered_photos, 8)
    before = network.bases.reflectance.clone()
    start_from_errors(network, [faces], model)
    with torch.no_grad():
        answer = network.eval()(faces.crops_srgb)
    vertices = MorphableFace(model).vertices
    exact = vertices(faces.code.shape, faces.code.expression)[:, network.bases.vertices]
    answered = vertices(answer.shape, answer.expression)[:, network.bases.vertices]
    corrected = answered + network.bases.displacement_mm(answer.geometry_corrective).detach()
    assert geometry_distance(corrected, exact).mean() < 0.9 * geometry_distance(answered, exact).mean()
    assert torch.equal(network.bases.reflectance, before)


def test_the_final_level_learns_what_the_base_level_cannot(model, photos, seen, tmp_path, monkeypatch):
    painted = seen.photos.crops_srgb.clone()
    painted[:, 1, 64:128] *= 0.85  # a purple beard, which no face model knows
    painted_batch = MixedBatch(dataclasses.replace(seen.photos, crops_srgb=painted), None)
    monkeypatch.setattr(MixedBatches, "from_step", lambda self, first, workers=0: itertools.repeat(painted_batch))
    settings = loop(40, learning_rate=3e-3, log_interval=10, validation_interval=40, checkpoint_interval=40)
    train_multilevel(photos, None, model, tmp_path, dataclasses.replace(SETTINGS, num_reflectance=24), settings)
    lines = [line for line in logged(tmp_path) if line["part"] == "train"]
    assert lines[-1]["final_photometric"] < 0.93 * lines[-1]["photometric"]
    validated = [line for line in logged(tmp_path) if line["part"] == "validation"][-1]
    assert {"photo_landmark_percent", "base_photo_landmark_percent", "photo_photometric"} <= set(validated)


def test_a_resumed_run_ends_where_an_unbroken_one_does(model, photos, tmp_path, monkeypatch):
    whole = train_multilevel(photos, None, model, tmp_path / "whole", SETTINGS, loop(4))

    class Stop(Exception):
        pass

    original = MultilevelObjective.__call__

    def stop_at_the_last_step(self, encoder, batch, step):
        if step == 3:
            raise Stop
        return original(self, encoder, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(MultilevelObjective, "__call__", stop_at_the_last_step)
        with pytest.raises(Stop):
            train_multilevel(photos, None, model, tmp_path / "broken", SETTINGS, loop(4))
    resumed = train_multilevel(photos, None, model, tmp_path / "broken", SETTINGS, loop(4), resume=True)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


def test_training_starts_from_an_encoder_without_corrections(model, photos, tmp_path):
    torch.manual_seed(3)
    plain = Encoder()
    save_weights(plain, tmp_path / "start.safetensors", {})
    settings = loop(1, learning_rate=0.0)
    trained = train_multilevel(
        photos, None, model, tmp_path / "run", SETTINGS, settings, init=tmp_path / "start.safetensors"
    )
    torch.testing.assert_close(trained.encoder.heads["shape"].weight, plain.heads["shape"].weight)
    torch.testing.assert_close(trained.encoder.backbone.place_weights, plain.backbone.place_weights)


def test_geometry_can_start_anew_while_albedo_stays(model, network, photos, faces, tmp_path):
    start, still = tmp_path / "start.safetensors", loop(1, learning_rate=0.0)
    save_weights(network, start, {})
    anew = dataclasses.replace(SETTINGS, restart_geometry=True)
    kept, renewed = (
        train_multilevel(photos, faces, model, tmp_path / name, settings, still, init=start)
        for name, settings in (("kept", SETTINGS), ("renewed", anew))
    )
    torch.testing.assert_close(kept.bases.geometry, network.bases.geometry)
    assert not torch.allclose(renewed.bases.geometry, network.bases.geometry)
    assert renewed.encoder.heads["geometry_corrective"].weight.abs().max() < 1e-6
    for part in ("bases.reflectance", "encoder.heads.reflectance_corrective.weight", "encoder.heads.shape.weight"):
        torch.testing.assert_close(renewed.state_dict()[part], network.state_dict()[part])
    with pytest.raises(AssetMissing, match="start anew from rendered faces"):
        train_multilevel(photos, None, model, tmp_path / "none", anew, still, init=start)


def test_what_was_learnt_is_the_same_in_its_own_units(model, network, seen):
    """Corrections are exported so that the coefficients answered are about one."""
    network.train()
    for _ in range(400):
        with torch.no_grad():
            network_in_training = network(seen.photos.crops_srgb[:2])
    network.eval()
    encoder, correctives = network.learned_model({})
    encoder.eval()
    with torch.no_grad():
        raw, scaled = network(seen.photos.crops_srgb), encoder(seen.photos.crops_srgb)
    # The spread was that of answers in training, whose normalisations see the batch alone.
    assert (
        0.8
        < network_in_training.geometry_corrective.square().mean().sqrt() / network.spread[:5].square().mean().sqrt()
        < 1.25
    )
    displacement = network.bases.displacement_mm(raw.geometry_corrective)
    expected = torch.einsum("bk,kvc->bvc", scaled.geometry_corrective, torch.from_numpy(correctives.geometry_basis))
    torch.testing.assert_close(displacement, expected, atol=1e-3, rtol=1e-3)


def test_the_exported_file_reconstructs_as_the_network_does(model, network, seen, tmp_path, capsys):
    save_weights(network, tmp_path / "weights.safetensors", {"step": "1"})
    (tmp_path / "run.json").write_text('{"config": {"regime": "multilevel"}}')
    graphs = tmp_path / "graphs"
    assert main(["export-weights", str(tmp_path), "--out", str(graphs)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(graphs / "learned.safetensors"), str(graphs / "decoder.onnx")]
    engine = open_engine("mofa", model, graphs=graphs)
    corrected = engine.model
    assert engine.name == "multilevel"
    assert len(engine.weights_hash) == 16
    content = load_correctives(graphs / "learned.safetensors").encoder_graph
    graph = EncoderGraph(graphs / "learned.safetensors", corrected, 1, content)
    code = graph.encode(seen.photos.crops_srgb.movedim(1, 3).contiguous().numpy()).to_torch()
    with torch.no_grad():
        answer = network(seen.photos.crops_srgb)
        face = CorrectedFace(model, network.bases)
        vertices = face.vertices(answer.full_shape, answer.expression)
        albedo = face.albedo(answer.full_reflectance)
    read = MorphableFace(corrected, native_albedo=True)
    # Kernels and bases are rounded to float16.
    error_mm = read.vertices(code.full_shape, code.expression) - vertices
    assert error_mm.square().mean().sqrt() < 0.01 * network.bases.displacement_mm(answer.geometry_corrective).std()
    assert (read.albedo(code.full_reflectance) - albedo).abs().mean() < 1e-3
    assert np.isfinite(code.pack().numpy()).all()


def test_the_command_trains_as_many_corrections_as_asked_for(rendered_photos, tmp_path, capsys):
    arguments = ["train", "multilevel", "--corpus", str(rendered_photos[0]), "--steps", "1", "--batch-size", "2"]
    arguments += ["--geometry", "3", "--reflectance", "2", "--loader-workers", "0", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    weights = tmp_path / "run" / "weights.safetensors"
    assert capsys.readouterr().out.splitlines()[-1] == str(weights)
    network = network_of_weights(weights, load_face_model())
    load_weights(network, weights)
    assert (network.bases.geometry.shape[0], network.bases.reflectance.shape[0]) == (3, 2)


def test_the_command_leaves_out_what_it_is_told_to(rendered_photos, tmp_path, capsys):
    arguments = ["train", "multilevel", "--corpus", str(rendered_photos[0]), "--steps", "1", "--batch-size", "2"]
    arguments += ["--geometry", "4", "--reflectance", "2", "--loader-workers", "0", "--out", str(tmp_path / "run")]
    assert main([*arguments, "--without", "constancy", "--without", "stabilisation", "--rectified"]) == 0
    config = json.loads((tmp_path / "run" / "run.json").read_text())["config"]
    assert config["correctives"] == {
        **dataclasses.asdict(CorrectiveWeights()),
        "constancy": 0.0,
        "geometry": 0.0,
        "reflectance": 0.0,
    }
    assert config["rectified"]
    assert config["second_look"]
    arguments[arguments.index("4")] = "3"
    assert main([*arguments, "--rectified"]) == 2
    assert "must be even when rectified, got 3 and 2" in capsys.readouterr().err


def test_weights_without_corrections_are_no_multilevel_ones(model, tmp_path):
    save_weights(Encoder(), tmp_path / "plain.safetensors", {})
    with pytest.raises(IncompatibleCode, match="it has no corrections"):
        network_of_weights(tmp_path / "plain.safetensors", model)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_geometry": 0},
        {"num_reflectance": 0},
        {"correctives": CorrectiveWeights(smoothness=-1.0)},
        {"base_rate": -1.0},
        {"rectified": True, "num_geometry": 5},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict):
    with pytest.raises(ValueError, match=r"must be (at least|even)"):
        MultilevelSettings(**wrong)


@pytest.mark.parametrize("looks", [{}, {"second_look": False}, {"rectified": True}])
def test_corrections_of_albedo_start_from_what_photos_show(model, photos, looks: dict):
    """All photos get a darker chin; the encoder, which answers the mean, cannot say it, and the corrections can."""
    network = MultilevelNetwork(model, 4, 8, **looks)
    batch = exact_batch([photos[number] for number in range(8)])
    darkened = batch.crops_srgb.clone()
    darkened[:, :, 84:] *= 0.7
    before = network.encoder.heads["shape"].weight.clone()
    start_from_residuals(network, [dataclasses.replace(batch, crops_srgb=darkened)], model)
    with torch.no_grad():
        answer = network.eval()(darkened)
    changes = network.bases.log_albedo(answer.reflectance_corrective)
    heights = torch.from_numpy(model.mean[model.regions["face"], 1])
    chin, brow = changes[:, heights < -50].mean(), changes[:, heights > 10].mean()
    assert chin < brow - 0.1
    assert torch.equal(network.encoder.heads["shape"].weight, before)


@pytest.mark.parametrize("looks", [{"second_look": False}, {"rectified": True}])
def test_weights_say_what_network_they_are_of(model, photos, tmp_path, looks: dict):
    settings = dataclasses.replace(SETTINGS, num_geometry=4, **looks)
    trained = train_multilevel(photos, None, model, tmp_path, settings, loop(2))
    found = network_of_weights(tmp_path / "weights.safetensors", model)
    load_weights(found, tmp_path / "weights.safetensors")
    crop = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(found.eval()(crop).pack(), trained.eval()(crop).pack())
    encoder, correctives = found.learned_model({})
    with torch.no_grad():
        scaled = encoder.eval()(crop).reflectance_corrective
        expected = found.bases.log_albedo(found(crop).reflectance_corrective)
    change = torch.einsum("bk,kvc->bvc", scaled, torch.from_numpy(correctives.reflectance_basis))
    torch.testing.assert_close(change, expected, atol=1e-4, rtol=1e-3)


def test_the_base_level_learns_at_a_rate_of_its_own(model, photos, tmp_path):
    settings = dataclasses.replace(SETTINGS, base_rate=0.0)
    torch.manual_seed(0)
    before = MultilevelNetwork(model, 5, 4)
    trained = train_multilevel(photos, None, model, tmp_path, settings, loop(2))
    assert torch.equal(trained.encoder.heads["shape"].weight, before.encoder.heads["shape"].weight)
    for part in ("geometry", "reflectance"):
        assert trained.encoder.heads[f"{part}_corrective"].weight.abs().max() > 0
    assert not torch.equal(trained.bases.reflectance, before.bases.reflectance)
