# SPDX-License-Identifier: Apache-2.0
"""The tool that takes out an encoder's channels that hardly ever fire."""

import importlib.util
from pathlib import Path

import pytest
import torch

from facefactor.encode.encoder import Encoder

TOOL = Path(__file__).resolve().parents[1] / "tools" / "prune_rare_channels.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("prune_rare_channels", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    network = Encoder()
    torch.nn.init.normal_(network.heads["translation"].weight, std=0.02)
    with torch.no_grad():
        for _ in range(10):
            network(torch.rand(8, 3, 128, 128))
    return network.eval()


def test_a_channel_that_throws_faces_off_is_taken_out(tool, encoder: Encoder) -> None:
    crops = torch.rand(12, 3, 128, 128)
    assert not tool.find_thrown_off(encoder, crops).any()
    normalisation = encoder.backbone.bottlenecks[10].layers[1][1]
    normalisation.running_var[5] = 0.0  # as if the channel had always been the same
    normalisation.weight.data[5] = 1e4
    assert tool.find_thrown_off(encoder, crops).any()
    pruned = tool.prune(encoder, crops)
    assert pruned >= 1
    assert normalisation.weight[5] == 0
    assert not tool.find_thrown_off(encoder, crops).any()


def test_ordinary_channels_stay(tool, encoder: Encoder) -> None:
    crops = torch.rand(12, 3, 128, 128)
    with torch.no_grad():
        before = encoder.encode_packed(crops)
        assert tool.prune(encoder, crops) == 0
        torch.testing.assert_close(encoder.encode_packed(crops), before)
