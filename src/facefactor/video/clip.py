# SPDX-License-Identifier: Apache-2.0
"""The two passes over a clip, and what happens between them.

    describe_clip   decode ─► track ─► encode ─► who is who ─► one identity each ─► one camera ─► smooth
    draw_clip       decode ─► draw over ─► write

Stages are threads that hand on a few frames at a time, so memory grows with the codes alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.errors import NoFaceFound
from facefactor.face.model import FaceModel
from facefactor.infer.engine import EncoderEngine
from facefactor.photo.detect import SlimeFaceDetector
from facefactor.photo.network_landmarks import NetworkLandmarks
from facefactor.video.camera import ClipPoser, clip_intrinsics
from facefactor.video.encoding import encode_faces
from facefactor.video.overlay import FaceOverlay
from facefactor.video.people import assign_people, share_identity
from facefactor.video.pipeline import PartSeconds, read_ahead
from facefactor.video.reader import Frame, Video
from facefactor.video.rows import ClipFaces, SeenFaces
from facefactor.video.smoothing import smooth_faces
from facefactor.video.steadiness import Steadiness, measure_steadiness
from facefactor.video.tracker import FaceTracker, TrackedFrame
from facefactor.video.writer import write_video


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip's faces, smoothed, and what it took."""

    faces: ClipFaces
    steadiness: list[Steadiness | None]
    """Of each person; None for one who is never there for three frames in a row."""
    width: int
    height: int
    """Of its upright frames, pixels."""
    num_frames: int
    duration_s: float
    """From the first frame to the last."""
    num_cuts: int


@dataclass
class _Extent:
    """What the frames that went by were."""

    width: int = 0
    height: int = 0
    num_frames: int = 0
    duration_s: float = 0.0
    num_cuts: int = 0

    def note_each(self, frames: Iterable[TrackedFrame]) -> Iterator[TrackedFrame]:
        """Hand the frames on."""
        for tracked in frames:
            frame = tracked.frame
            self.width, self.height = frame.photo.width, frame.photo.height
            self.num_frames, self.duration_s, self.num_cuts = frame.index + 1, frame.time_s, tracked.scene
            yield tracked


def describe_clip(video: Video, engine: EncoderEngine, seconds: PartSeconds) -> Clip:
    """Find the people of a clip and describe them frame by frame.

    Args:
        video: to be read once.
        engine: answers crops.
        seconds: the parts "decode", "track", "encode_faces" and "smooth" are counted there.

    Raises:
        VideoUnreadable: no frame can be decoded.
        NoFaceFound: no frame shows a face.
    """
    extent = _Extent()
    tracker = FaceTracker(NetworkLandmarks(), SlimeFaceDetector())
    frames = read_ahead(seconds.count_each("decode", video.frames()))
    tracked = read_ahead(seconds.count_each("track", tracker.track(frames)))
    seen = encode_faces(extent.note_each(tracked), engine.encoder, seconds)
    if seen is None:
        damage = f", and it {video.damage}" if video.damage else ""
        raise NoFaceFound(f"{video.path}: no face found in any of {extent.num_frames} frames{damage}")
    with seconds.count("smooth"):
        faces, steadiness = _between_passes(seen, engine.model, extent.width, extent.height)
    return Clip(faces, steadiness, **vars(extent))


def draw_clip(video: Video, clip: Clip, model: FaceModel, path: Path, seconds: PartSeconds) -> None:
    """Draw the faces of a clip over its frames and write the video.

    Args:
        video: to be read again.
        clip: what `describe_clip` said of it.
        model: of the codes.
        path: of the file.
        seconds: the parts "decode", "overlay" and "write" are counted there.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    overlay = FaceOverlay(model, clip.faces)
    with write_video(path, video, clip.width, clip.height) as writer:
        frames = read_ahead(seconds.count_each("decode", video.frames(on_audio=writer.add_sound)))
        drawn = read_ahead(seconds.count_each("overlay", _draw_each(frames, overlay)))
        for pts, picture_srgb in drawn:
            with seconds.count("write"):
                writer.write(picture_srgb, pts)


def _between_passes(
    seen: SeenFaces, model: FaceModel, width: int, height: int
) -> tuple[ClipFaces, list[Steadiness | None]]:
    """The people of the clip, smoothed, and how steady each is."""
    people = assign_people(seen)
    poser, K = ClipPoser(model), clip_intrinsics(seen, width, height)
    code, answered_px = poser.pose(seen, share_identity(seen, people), K)
    faces = smooth_faces(ClipFaces(seen.frames, seen.times_s, seen.tracks, people, K, code))
    smoothed_px = poser.landmarks_px(faces.code, K)
    steadiness = []
    for person in range(people.max() + 1):
        mine = people == person
        landmarks = (answered_px[mine], smoothed_px[mine])
        steadiness.append(measure_steadiness(seen.times_s[mine], seen.tracks[mine], *landmarks))
    return faces, steadiness


def _draw_each(frames: Iterable[Frame], overlay: FaceOverlay) -> Iterator[tuple[int, np.ndarray]]:
    for frame in frames:
        picture_srgb = frame.photo.srgb.copy()
        overlay.draw(picture_srgb, frame.index)
        yield frame.pts, picture_srgb
