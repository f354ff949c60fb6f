# SPDX-License-Identifier: Apache-2.0
"""The session with its server, but without a browser: what it does with what is asked."""

from collections.abc import Iterator

import pytest
from PIL import Image

pytest.importorskip("viser", reason="viser (the extra `view`) is not installed")

from facefactor.apps.viewer import session as session_module
from facefactor.apps.viewer.opening import Opener
from facefactor.apps.viewer.page import close_server, open_server
from facefactor.apps.viewer.session import Session
from facefactor.apps.viewer.state import Layer
from facefactor.errors import IncompatibleCode, NoFaceFound, PhotoUnreadable
from facefactor.export.record import write_face_record

JAW_OPEN = 17


@pytest.fixture(scope="module")
def server() -> Iterator:
    server = open_server(0)
    yield server
    close_server(server)


@pytest.fixture
def session(server, head, reconstructor, record, tmp_path, monkeypatch) -> Session:
    """Shows the astronaut, from a file without its photo."""
    write_face_record(tmp_path / "astronaut" / "0.json", record)
    monkeypatch.setattr(Opener, "reconstructor", reconstructor)
    return Session(server, {"0.json": tmp_path / "astronaut" / "0.json"}, head)


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """The messages that the page would show."""
    messages: list[str] = []
    monkeypatch.setattr(session_module, "notify", lambda server, client, title, body: messages.append(body))
    return messages


def test_the_face_of_a_file_is_shown_at_once(session, record):
    assert session.state.subject.record.photo_name == "astronaut.png"
    assert session.state.code.expression[JAW_OPEN] == pytest.approx(record.expression[JAW_OPEN], abs=1e-6)


def test_a_hundred_moves_of_a_slider_are_one_head(session, monkeypatch):
    sent = []
    monkeypatch.setattr(session_module, "encode_painted_mesh", lambda mesh, _: sent.append(mesh) or b"")
    for step in range(1, 101):
        session.edit(lambda state, weight=step / 100: state.with_expression("jawOpen", weight))
    session.work()
    assert session.state.code.expression[JAW_OPEN] == 1.0
    assert len(sent) == 1


def test_nothing_is_painted_when_nothing_changed(session, monkeypatch):
    monkeypatch.setattr(session_module, "paint", lambda *_: pytest.fail("painted"))
    session.reset_view()
    session.work()
    session.work()  # has nothing to do, and returns


def test_an_uploaded_photo_is_reconstructed_and_shown_by_the_layer_shown_before(session, photo, tmp_path):
    Image.fromarray(photo.srgb[:, ::-1]).save(tmp_path / "mirrored.jpg")
    session.edit(lambda state: state.with_layer(Layer.ALBEDO))
    session.open_upload("mirrored.jpg", (tmp_path / "mirrored.jpg").read_bytes(), None)
    session.work()
    assert session.state.subject.record.photo_name == "mirrored.jpg"
    assert session.state.subject.photo_srgb.shape == (512, 512, 3)
    assert session.state.layer == Layer.ALBEDO


@pytest.mark.parametrize("kind", ["no picture", "no face"])
def test_an_upload_that_fails_is_told_by_its_name_and_leaves_the_face(session, told, tmp_path, kind):
    Image.new("RGB", (64, 64)).save(tmp_path / "x.png")
    content = b"text" if kind == "no picture" else (tmp_path / "x.png").read_bytes()
    before = session.state
    session.open_upload("../x.png", content, None)
    session.work()
    assert session.state is before
    assert told == [
        {
            "no picture": "x.png: is not an image in a format that can be read",
            "no face": "x.png: no face found",
        }[kind]
    ]


def test_a_mistake_of_ours_is_told_and_the_session_goes_on(session, told, caplog):
    session.edit(lambda state: state.with_expression("noSuchName", 1.0))
    session.work()
    assert told == ["The terminal says more."]
    assert "noSuchName" in caplog.text or "tuple.index" in caplog.text
    session.edit(lambda state: state.with_expression("jawOpen", 0.5))
    session.work()
    assert session.state.code.expression[JAW_OPEN] == 0.5


def test_a_head_that_cannot_be_painted_is_told_and_the_session_goes_on(session, told, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(session_module, "paint", lambda *_: 1 / 0)
        session.edit(lambda state: state.with_expression("jawOpen", 0.5))
        session.work()
    assert told == ["The terminal says more."]
    session.edit(lambda state: state.with_expression("jawOpen", 0.6))
    session.work()
    assert len(told) == 1


def test_another_file_of_a_folder_is_shown_when_chosen(server, head, reconstructor, record, tmp_path, told):
    write_face_record(tmp_path / "a.json", record)
    (tmp_path / "b.json").write_text("{}")
    session = Session(server, {name: tmp_path / name for name in ("a.json", "b.json")}, head)
    session.choose("b.json", None)
    session.work()
    assert told == [f"{tmp_path / 'b.json'}: schema: this facefactor reads 'facefactor.face/1', the file holds None"]
    assert session.state.subject.record.photo_name == "astronaut.png"


def test_a_folder_whose_first_file_fails_opens_with_the_mean_face(server, head, tmp_path, caplog):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    session = Session(server, {name: tmp_path / name for name in ("a.json", "b.json")}, head)
    assert session.state.subject.record.photo_name == "mean face"
    assert "a.json" in caplog.text


def test_a_single_file_that_fails_ends_the_session(server, head, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "a.jpg").write_text("text")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    for name, error in (("a.json", IncompatibleCode), ("a.jpg", PhotoUnreadable), ("a.png", NoFaceFound)):
        with pytest.raises(error, match=name):
            Session(server, {name: tmp_path / name}, head)
