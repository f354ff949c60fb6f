# SPDX-License-Identifier: Apache-2.0
"""What is said about a run of `facefactor video`: the clip, its people, how steady they are, and the speed."""

from dataclasses import asdict
from typing import Any

import numpy as np

from facefactor.video.clip import Clip
from facefactor.video.pipeline import PartSeconds
from facefactor.video.reader import Video
from facefactor.video.writer import copies_sound

SCHEMA = "facefactor.video_report/1"
PARTS = ("decode", "track", "encode_faces", "smooth", "overlay", "write")
"""In the order of the work; "decode" is both passes'."""


def make_report(video: Video, clip: Clip, seconds: PartSeconds, passes_s: float) -> dict[str, Any]:
    """Put the facts together.

    Args:
        video: after both passes.
        clip: what was found in it.
        seconds: of processor time, by part; several parts run at the same time.
        passes_s: seconds by the clock from the first frame's decoding to the overlay's end.
    """
    return {
        "schema": SCHEMA,
        "video": video.path.name,
        "frames": clip.num_frames,
        "duration_s": clip.duration_s,
        "width": clip.width,
        "height": clip.height,
        "cuts": clip.num_cuts,
        "damage": video.damage,
        "sound": _sound(video),
        "people": {f"person-{person}": _person(clip, person) for person in range(len(clip.steadiness))},
        "seconds": {part: round(seconds.seconds[part], 3) for part in PARTS},
        "passes_s": round(passes_s, 3),
        "frames_per_second": clip.num_frames / passes_s,
    }


def _sound(video: Video) -> str:
    """What became of the sound."""
    if copies_sound(video):
        return "copied"
    return f"left out: MP4 does not hold {video.audio_codecs[0]}" if video.audio_codecs else "none"


def _person(clip: Clip, person: int) -> dict[str, Any]:
    faces = clip.faces.of_person(person)
    steadiness = clip.steadiness[person]
    return {
        "frames": len(faces.frames),
        "tracks": len(np.unique(faces.tracks)),
        "first_s": float(faces.times_s[0]),
        "last_s": float(faces.times_s[-1]),
        **(asdict(steadiness) if steadiness else {}),
    }
