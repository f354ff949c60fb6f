# SPDX-License-Identifier: Apache-2.0
import json
import math

import numpy as np
import pytest

from facefactor.apps import evaluate_answers
from facefactor.apps.cli import main
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing
from facefactor.evaluate.answers import AnswerMeter, FaceAnswer, light_direction, ratio_interval, spreads
from facefactor.evaluate.tables import Table, as_markdown
from facefactor.face.model import load_face_model
from facefactor.light.spherical_harmonics import directional_light

NEUTRAL = FaceCode.neutral()


@pytest.fixture(scope="module")
def meter() -> AnswerMeter:
    return AnswerMeter(load_face_model())


def answer(name: str, photometric: float = 0.1, **parts) -> FaceAnswer:
    """A neutral face, with coefficients given by place or expressions by name."""
    code = NEUTRAL
    for part, values in parts.items():
        if part == "light":
            code = code.with_light(directional_light(np.asarray(values, np.float32), np.ones(3, np.float32)))
            continue
        vector = getattr(code, part).copy()
        for place, value in values.items():
            vector[EXPRESSION_NAMES.index(place) if isinstance(place, str) else place] = value
        code = getattr(code, f"with_{part}")(vector)
    return FaceAnswer(name, code, photometric)


def rows(table: Table) -> dict[str, tuple]:
    return {row[0]: row[1:] for row in table.rows}


def test_a_positive_azimuth_lights_the_pictures_left_half():
    left, up, front = light_direction(np.array([90.0, 0.0, 0.0]), np.array([0.0, 90.0, 0.0]))
    np.testing.assert_allclose(left, (-1, 0, 0), atol=1e-12)
    np.testing.assert_allclose(up, (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(front, (0, 0, 1), atol=1e-12)


def test_the_lights_error_is_the_angle_to_the_named_direction(meter):
    answers = [
        answer("a_P00A+050E+00", light=light_direction(np.array(50.0), np.array(0.0))),
        answer("a_P00A-010E+00", light=light_direction(np.array(10.0), np.array(0.0))),
        answer("b_P00A+000E+45", light=light_direction(np.array(0.0), np.array(45.0))),
        answer("b_P00A+110E+00", light=(0, 0, 1)),  # from behind: passed over
        answer("no_light_in_its_name", light=(0, 0, 1)),
    ]
    found = rows(meter.known_light(answers)[1])
    assert found["azimuth 30° to below 60°"] == (1, pytest.approx(0, abs=0.1))
    assert found["azimuth 0° to below 30°"] == (2, pytest.approx(10, abs=0.1))  # between 20 and 0
    assert found["azimuth 60° to below 91°"][0] == 0
    assert math.isnan(found["azimuth 60° to below 91°"][1])
    assert found["all"][0] == 3
    with pytest.raises(AssetMissing, match="none of the photos is lit from before the face"):
        meter.known_light(answers[3:])


def test_spreads_are_taken_within_and_between_persons():
    values = np.array([[1.0], [3.0], [10.0], [14.0]])
    within, between = spreads(values, ["a", "a", "b", "b"])
    assert within == pytest.approx(math.sqrt((1 + 1 + 4 + 4) / 4))
    assert between == pytest.approx(5.0)  # the means are 2 and 12


def test_the_ratios_interval_is_as_wide_as_persons_differ():
    def of(scales: np.ndarray) -> tuple[float, float]:
        values = np.concatenate([[[1.0 * number], [number + 2.0 * scale]] for number, scale in enumerate(scales)])
        within, between = spreads(values, persons)
        low, high = ratio_interval(values, persons)
        assert low <= within / between <= high
        return low, high

    persons = [f"{number:02}" for number in range(40) for _ in range(2)]
    alike, differing = of(np.ones(40)), of(np.random.default_rng(0).exponential(size=40))
    assert alike[1] / alike[0] < 1.5 < differing[1] / differing[0]
    assert all(math.isnan(end) for end in ratio_interval(np.zeros((4, 1)), ["a", "a", "b", "b"]))


def test_a_person_who_stays_the_same_has_no_spread(meter):
    answers = [answer(f"p{who}_{frame}", shape={0: who}, reflectance={0: -who}) for who in (1, 2) for frame in "abc"]
    for name, (within, between, ratio, *_) in rows(meter.identities(answers)[0]).items():
        assert within == pytest.approx(0, abs=1e-6), name
        assert between > 0.01, name
        assert ratio == pytest.approx(0, abs=1e-3), name


def test_groups_have_their_own_errors_and_tones(meter):
    answers = [
        answer("20_0_0_1", 0.10), answer("21_1_0_2", 0.12), answer("30_1_1_3", 0.16, reflectance={0: -2.0}),
        answer("portrait", 0.9),
    ]  # fmt: skip
    (table,) = meter.skin_tones(answers)
    found = rows(table)
    assert found["White"][:2] == (2, pytest.approx(0.11))
    assert found["Black"][:2] == (1, 0.16)
    assert all(dark < light for dark, light in zip(found["Black"][2:], found["White"][2:], strict=True))
    assert set(found) == {"White", "Black"}
    assert "1.45" in table.note


def test_eyes_and_mouths_are_right_where_they_are_as_labelled(meter):
    answers = [
        answer("asleep", expression={"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
        answer("winks", expression={"eyeBlinkLeft": 0.9}),
        answer("squints", expression={"eyeBlinkLeft": 0.4, "eyeBlinkRight": 0.4}),
        answer("talks", expression={"jawOpen": 0.4}),
        answer("unlabelled"),
    ]
    labels = {
        "asleep": {"left_eye": "closed", "right_eye": "closed", "mouth": "closed"},
        "winks": {"left_eye": "closed", "right_eye": "closed"},  # the second is not so
        "squints": {"left_eye": "open", "right_eye": "open"},
        "talks": {"mouth": "open"},
    }
    found = rows(meter.closures(answers, labels)[0])
    assert found["left eye, closed"] == (2, 100.0)
    assert found["right eye, closed"] == (2, 50.0)
    assert found["left eye, open"] == (1, 100.0)
    assert found["mouth, open"] == (1, 100.0)
    assert found["mouth, closed"] == (1, 100.0)
    assert found["all"] == (8, pytest.approx(87.5))


def test_tables_are_written_for_people_and_say_what_is_missing():
    text = as_markdown(
        "Title", {"engine": "e"}, [Table("One", ("what", "value"), (("a", 0.12345), ("b", math.nan)), "Note.")]
    )
    assert (
        text == "# Title\n\n- engine: e\n\n## One\n\n| what | value |\n|---|---:|\n| a | 0.123 |\n| b | – |\n\nNote.\n"
    )


def test_our_labels_are_of_the_kind_that_is_read():
    labels = json.loads(evaluate_answers.OUR_LABELS.read_text())
    assert len(labels) >= 90
    assert {part for parts in labels.values() for part in parts} == {"left_eye", "right_eye", "mouth"}


@pytest.mark.parametrize("text", ["[]", "{}", '{"a": {"mouth": "ajar"}}', "no json"])
def test_labels_that_are_none_are_one_line(tmp_path, capsys, text):
    (tmp_path / "labels.json").write_text(text)
    arguments = ["evaluate", "closures", "--data", str(tmp_path), "--out", str(tmp_path / "report")]
    assert main([*arguments, "--labels", str(tmp_path / "labels.json")]) == 2
    assert "labels.json: holds no labels" in capsys.readouterr().err


def test_a_folder_of_other_photos_is_one_line(tmp_path, capsys):
    assert main(["evaluate", "known-light", "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 2
    assert (
        capsys.readouterr().err == f"facefactor: {tmp_path}: holds no photos whose names tell what is known of them\n"
    )


def test_a_persons_face_is_found_once_and_asked_for_under_each_light(tmp_path, capsys, monkeypatch):
    """The astronaut lit from the front, and in the dark, where no face could be found."""
    from PIL import Image
    from skimage.data import astronaut

    Image.fromarray(astronaut()).save(tmp_path / "eileen_P00A+000E+00.png")
    Image.fromarray(astronaut() // 30).save(tmp_path / "eileen_P00A+070E+20.png")
    Image.fromarray(np.full((64, 64, 3), 99, np.uint8)).save(tmp_path / "nobody_P00A+000E+00.png")
    assert main(["evaluate", "known-light", "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["facts"]["photos"].endswith("2 of 3 with a face")
    assert report["facts"]["without a face"] == "nobody_P00A+000E+00"
    assert report["tables"][1]["rows"][-1][:2] == ["all", 2]
    assert "# Known light" in capsys.readouterr().out
