# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.train.averaging import AveragedModel
from facefactor.train.checkpoint import (
    Progress,
    list_checkpoints,
    load_checkpoint,
    load_weights,
    remove_old_checkpoints,
    save_checkpoint,
    save_weights,
)


def make_parts(seed: int) -> tuple[nn.Module, AveragedModel, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    averaged, optimiser = AveragedModel(model, 0.9), torch.optim.AdamW(model.parameters())
    for _ in range(2):
        optimiser.zero_grad()
        model(torch.rand(2, 3, 5, 5)).square().sum().backward()
        optimiser.step()
        averaged.update(model, 100)
    return model, averaged, optimiser


def test_a_checkpoint_brings_everything_back(tmp_path):
    model, averaged, optimiser = make_parts(0)
    path = save_checkpoint(tmp_path, model, averaged, optimiser, Progress(12, 0.5))
    other_model, other_averaged, other_optimiser = make_parts(1)
    assert load_checkpoint(path, other_model, other_averaged, other_optimiser) == Progress(12, 0.5)
    for one, other in ((model, other_model), (averaged.model, other_averaged.model)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name])
    for one, other in zip(model.parameters(), other_model.parameters(), strict=True):
        for key, tensor in optimiser.state[one].items():
            assert torch.equal(tensor, other_optimiser.state[other][key])
    assert other_model[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_weights_come_back_with_their_facts(tmp_path):
    model, other = make_parts(0)[0], make_parts(1)[0]
    save_weights(model, tmp_path / "w.safetensors", {"step": "7"})
    assert load_weights(other, tmp_path / "w.safetensors") == {"step": "7"}
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(nn.Linear(2, 3), tmp_path / "w.safetensors", {})
    with pytest.raises(IncompatibleCode, match="holds the weights of another network: size mismatch for weight"):
        load_weights(nn.Linear(2, 4), tmp_path / "w.safetensors")


def test_a_checkpoint_is_not_weights(tmp_path):
    path = save_checkpoint(tmp_path, *make_parts(0), Progress(1))
    with pytest.raises(IncompatibleCode, match=r"is facefactor\.checkpoint/1, needed is facefactor\.weights/1"):
        load_weights(make_parts(0)[0], path)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"not")
    with pytest.raises(IncompatibleCode, match="not a safetensors file"):
        load_weights(nn.Linear(1, 1), tmp_path / "w.safetensors")


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(AssetMissing, match=r"none\.safetensors: no such file"):
        load_weights(nn.Linear(1, 1), tmp_path / "none.safetensors")


def test_old_checkpoints_go_oldest_first(tmp_path):
    parts = make_parts(0)
    for step in (5, 100, 20):
        save_checkpoint(tmp_path, *parts, Progress(step))
    remove_old_checkpoints(tmp_path, 2)
    assert [path.stem for path in list_checkpoints(tmp_path)] == ["step-00000020", "step-00000100"]
