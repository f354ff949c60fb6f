# SPDX-License-Identifier: Apache-2.0
"""The expression names are the 52 of ARKit, each once."""

from facefactor.code.names import EXPRESSION_NAMES


def test_there_are_52_different_names():
    assert len(EXPRESSION_NAMES) == 52
    assert len(set(EXPRESSION_NAMES)) == 52


def test_every_left_has_its_right():
    left = {name.removesuffix("Left") for name in EXPRESSION_NAMES if name.endswith("Left")}
    right = {name.removesuffix("Right") for name in EXPRESSION_NAMES if name.endswith("Right")}
    assert left == right


def test_convention_the_expression_order_is_fixed():
    places = {
        "eyeBlinkLeft": 0,
        "eyeBlinkRight": 7,
        "jawOpen": 17,
        "mouthClose": 18,
        "browInnerUp": 43,
        "tongueOut": 51,
    }
    assert {name: EXPRESSION_NAMES.index(name) for name in places} == places
