# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")
import av

from facefactor.errors import OutputUnwritable
from facefactor.video.reader import Video
from facefactor.video.writer import copies_sound, write_video


def copy_clip(source: Video, path: Path) -> None:
    width, height = (size := next(source.frames()).photo).width, size.height
    with write_video(path, source, width, height) as writer:
        for frame in source.frames(on_audio=writer.add_sound):
            writer.write(frame.photo.srgb, frame.pts)


def coloured(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    return [np.broadcast_to(np.uint8([60, 140, 90]), (height, width, 3)).copy() for _ in range(count)]


def test_times_colours_and_sound_are_kept(write_clip, tmp_path: Path):
    pts = [0, 33, 70, 90, 200, 233, 270, 1000]
    source = write_clip("in.mp4", coloured(8), pts=pts, time_base=Fraction(1, 1000), sound="aac")
    copy_clip(Video(source), tmp_path / "out.mp4")
    frames = list(Video(tmp_path / "out.mp4").frames())
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(pts) / 1000, atol=1e-3)
    for frame, picture in zip(frames, coloured(8), strict=True):
        np.testing.assert_allclose(frame.photo.srgb.mean((0, 1)), picture.mean((0, 1)), atol=3)
    sounds = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            sounds.append([(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size])
    assert sounds[0] == sounds[1]


def test_sound_that_mp4_does_not_hold_is_left_out(write_clip, tmp_path: Path):
    source = Video(write_clip("in.mkv", coloured(3), sound="pcm_s16le"))
    assert source.audio_codecs == ["pcm_s16le"]
    assert not copies_sound(source)
    copy_clip(source, tmp_path / "out.mp4")
    written = Video(tmp_path / "out.mp4")
    assert written.audio_codecs == []
    assert len(list(written.frames())) == 3


def test_odd_sizes_get_a_border_pixel(write_clip, tmp_path: Path):
    source = Video(write_clip("in.mp4", coloured(3)))
    with write_video(tmp_path / "odd.mp4", source, 33, 25) as writer:
        for pts, picture in enumerate(coloured(3, 33, 25)):
            writer.write(picture, pts)
    photo = next(Video(tmp_path / "odd.mp4").frames()).photo
    assert (photo.width, photo.height) == (34, 26)
    np.testing.assert_allclose(photo.srgb[-1, -1], [60, 140, 90], atol=6)


def test_what_is_stopped_leaves_no_file(write_clip, tmp_path: Path):
    source = Video(write_clip("in.mp4", coloured(3)))
    folder = tmp_path / "out"

    def stop() -> None:
        with write_video(folder / "x.mp4", source, 64, 48) as writer:
            writer.write(coloured(1)[0], 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert list(folder.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_sentence(write_clip, tmp_path: Path):
    source = Video(write_clip("in.mp4", coloured(3)))
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputUnwritable, match=r"x\.mp4: cannot be written"),
        write_video(tmp_path / "file" / "x.mp4", source, 64, 48),
    ):
        pass
