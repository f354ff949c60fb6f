# SPDX-License-Identifier: Apache-2.0
"""The first pass and what follows it on real videos."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")

from facefactor.apps.engines import open_engine
from facefactor.face.model import load_face_model
from facefactor.infer.engine import EncoderEngine
from facefactor.video.clip import describe_clip
from facefactor.video.pipeline import PartSeconds
from facefactor.video.reader import Video


@pytest.fixture(scope="module")
def engine() -> EncoderEngine:
    engine = open_engine("multilevel", load_face_model(), num_threads=1)
    assert isinstance(engine, EncoderEngine)
    return engine


@pytest.mark.data
@pytest.mark.parametrize("name", ["speech_small", "talk_b"])
def test_real_people_are_followed_through_all_frames_and_held_steady(
    name: str, engine: EncoderEngine, shared_data: Path
):
    clip = describe_clip(Video(shared_data / "videos" / f"{name}.mp4"), engine, PartSeconds())
    np.testing.assert_array_equal(clip.faces.frames, np.arange(clip.num_frames))
    assert set(clip.faces.people) == set(clip.faces.tracks) == {0}
    assert clip.num_cuts == 0
    (steadiness,) = clip.steadiness
    assert steadiness is not None
    assert steadiness.jitter_px_after < 0.5 * steadiness.jitter_px_before
    assert abs(steadiness.lag_ms) < 0.1 * steadiness.frame_ms
