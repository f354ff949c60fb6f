# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from facefactor.apps.viewer.state import Layer
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.light.source import light_from_direction


def changed_numbers(before, after) -> np.ndarray:
    return np.flatnonzero(before.code.pack() != after.code.pack())


def test_an_expression_slider_changes_that_weight_alone_and_leaves_the_state_before(state):
    before = state.code.expression.copy()
    after = state.with_expression("cheekPuff", 0.75)
    index = EXPRESSION_NAMES.index("cheekPuff")
    assert after.code.expression[index] == 0.75
    assert changed_numbers(state, after).tolist() == [80 + index]
    np.testing.assert_array_equal(state.code.expression, before)


@pytest.mark.parametrize(("change", "place"), [("with_shape", 4), ("with_reflectance", 80 + 52 + 4)])
def test_a_component_slider_changes_that_component_alone(state, change, place):
    after = getattr(state, change)(4, -2.5)
    assert changed_numbers(state, after).tolist() == [place]
    assert after.code.pack()[place] == -2.5


def test_all_changes_of_the_face_can_be_undone_and_the_layer_stays(state):
    changed = (
        state.with_layer(Layer.SHADING).with_shape(0, 3.0).without_expression().with_light(light_from_direction(30, 0))
    )
    assert not changed.code.expression.any()
    undone = changed.as_reconstructed()
    assert changed_numbers(state, undone).size == 0
    assert undone.layer == Layer.SHADING


def test_without_its_photo_a_face_is_not_laid_over_it(state, state_without_photo):
    assert state.photo_behind is None
    assert state.with_over_photo(True).photo_behind is state.subject.photo_srgb
    assert state_without_photo.with_over_photo(True).photo_behind is None
