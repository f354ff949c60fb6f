# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from facefactor.train.averaging import AveragedModel


def test_the_average_follows_its_formula():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    averaged = AveragedModel(model, 0.9)
    nn.init.constant_(model.weight, 1.0)
    averaged.update(model, 1000)
    assert averaged.model.weight.item() == pytest.approx(0.1)
    averaged.update(model, 1000)
    assert averaged.model.weight.item() == pytest.approx(0.19)


def test_the_random_start_is_soon_forgotten():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.0)
    averaged = AveragedModel(model, 0.999)
    nn.init.constant_(model.weight, 1.0)
    for step in range(40):
        averaged.update(model, step)
    assert averaged.model.weight.item() > 0.99


def test_statistics_are_averaged_and_counts_copied():
    model = nn.BatchNorm1d(2)
    averaged = AveragedModel(model, 0.5)
    model(torch.tensor([[10.0, 20.0], [10.0, 20.0]]))
    averaged.update(model, 1000)
    torch.testing.assert_close(averaged.model.running_mean, torch.tensor([0.5, 1.0]))
    assert averaged.model.num_batches_tracked.item() == 1


def test_the_average_is_for_evaluation():
    averaged = AveragedModel(nn.Sequential(nn.Dropout(), nn.Linear(1, 1)), 0.9)
    assert not averaged.model.training
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())
