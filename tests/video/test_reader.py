# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")

from facefactor.errors import VideoUnreadable
from facefactor.video.reader import Video, open_container

QUARTER_TURN_CLOCKWISE = (0, 1 << 16, 0, -(1 << 16) & 0xFFFFFFFF, 0, 0, 0, 0, 1 << 30)
"""An MP4 track's matrix (ISO/IEC 14496-12, 8.3.2) as phones held upright write it."""


def grey(level: int, width: int = 64, height: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def test_frames_come_with_the_containers_own_times(write_clip):
    pts = [0, 40, 50, 170, 180]
    path = write_clip("uneven.mp4", [grey(40 * n) for n in range(5)], pts=pts, time_base=Fraction(1, 1000))
    frames = list(Video(path).frames())
    np.testing.assert_allclose([frame.time_s for frame in frames], np.array(pts) / 1000, atol=1e-9)
    assert [frame.index for frame in frames] == list(range(5))
    np.testing.assert_allclose([frame.photo.srgb.mean() for frame in frames], [0, 40, 80, 120, 160], atol=2)


def test_time_begins_at_the_first_frame(write_clip):
    path = write_clip("late.mp4", [grey(90)] * 3, pts=[50, 51, 53])
    frames = list(Video(path).frames())
    np.testing.assert_allclose([frame.time_s for frame in frames], [0, 1 / 25, 3 / 25])


def test_turned_videos_are_read_upright(write_clip):
    picture = grey(20)
    picture[:16, :16] = 250  # top left
    path = write_clip("phone.mp4", [picture] * 2)
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    content[matrix : matrix + 36] = b"".join(number.to_bytes(4, "big") for number in QUARTER_TURN_CLOCKWISE)
    path.write_bytes(content)
    frame = next(Video(path).frames())
    assert (frame.photo.width, frame.photo.height) == (48, 64)
    assert frame.photo.srgb[4, -4].mean() > 200  # top right
    assert frame.photo.srgb[-4, -4].mean() < 60


def test_sound_is_handed_on(write_clip):
    packets: list = []
    path = write_clip("talk.mp4", [grey(90)] * 25, sound="aac")
    video = Video(path)
    assert video.audio_codecs == ["aac"]
    assert len(list(video.frames(on_audio=packets.append))) == 25
    assert sum(packet.size for packet in packets) > 1000


def test_a_cut_off_file_gives_what_decodes_and_says_so(write_clip):
    noise = np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), dtype=np.uint8)
    path = write_clip("cut.mp4", list(noise))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    video = Video(path)
    count = len(list(video.frames()))
    assert 10 <= count < 30
    assert video.damage == f"is damaged or cut off; {count} frames of it are used"


def test_a_whole_file_is_not_called_damaged(write_clip):
    video = Video(write_clip("whole.mp4", [grey(90)] * 7))
    assert len(list(video.frames())) == 7
    assert video.damage is None


def test_what_is_no_video_is_refused_in_one_sentence(tmp_path: Path, write_clip):
    (tmp_path / "text.mp4").write_text("no video\n")
    with pytest.raises(VideoUnreadable, match=r"text\.mp4: is not a video that can be read"):
        Video(tmp_path / "text.mp4")
    with pytest.raises(VideoUnreadable, match=r"gone\.mp4: no such file"):
        Video(tmp_path / "gone.mp4")
    with pytest.raises(VideoUnreadable, match="is a folder, not a video"):
        Video(tmp_path)
    with pytest.raises(VideoUnreadable, match="n: File name too long"):
        Video(tmp_path / ("n" * 300))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".avif"])
def test_a_photo_is_refused_with_what_to_use(tmp_path: Path, suffix: str):
    Image.fromarray(grey(90)).save(tmp_path / f"me{suffix}")
    with pytest.raises(VideoUnreadable, match=rf"me\{suffix}: is a photo, not a video: use `facefactor reconstruct`"):
        Video(tmp_path / f"me{suffix}")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_an_animation_is_a_video(tmp_path: Path, suffix: str):
    path = tmp_path / f"moving{suffix}"
    first, *others = (Image.fromarray(grey(40 * n)) for n in range(4))
    first.save(path, save_all=True, append_images=others, duration=40)
    open_container(path).close()


def test_a_file_with_sound_alone_is_refused(tmp_path: Path):
    import wave

    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    with pytest.raises(VideoUnreadable, match=r"sound\.wav: holds no video stream"):
        Video(tmp_path / "sound.wav")


def test_a_file_without_a_frame_that_decodes_is_refused(write_clip):
    path = write_clip("broken.mp4", [grey(90)] * 5)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)
    with pytest.raises(VideoUnreadable, match=r"broken\.mp4: no frame of it can be decoded"):
        list(Video(path).frames())
