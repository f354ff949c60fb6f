# SPDX-License-Identifier: Apache-2.0
"""FaceCode: its sizes, its copies, and the ways to a vector and to JSON and back."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch

from facefactor.code import EXPRESSION_NAMES, FaceCode
from facefactor.code.face_code import PACKED_SIZE, PART_SHAPES
from facefactor.errors import IncompatibleCode


def random_parts(batch_shape=(), num_geometry=0, num_reflectance=0, seed=0):
    generator = np.random.default_rng(seed)
    sizes = {**PART_SHAPES, "geometry_corrective": (num_geometry,), "reflectance_corrective": (num_reflectance,)}
    return {name: generator.random(batch_shape + size).astype(np.float32) for name, size in sizes.items()}


def random_code(batch_shape=(), num_geometry=0, num_reflectance=0):
    return FaceCode(**random_parts(batch_shape, num_geometry, num_reflectance))


def assert_same(first, second):
    for field in fields(FaceCode):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), err_msg=field.name)


def test_importing_a_face_code_imports_no_torch():
    program = "import sys, facefactor.code; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("batch_shape", [(), (4,), (2, 3), (0,)])
def test_unpack_undoes_pack(batch_shape):
    code = random_code(batch_shape, num_geometry=5, num_reflectance=7)
    packed = code.pack()
    assert packed.shape == (*batch_shape, PACKED_SIZE + 12)
    assert_same(FaceCode.unpack(packed, num_geometry_corrective=5), code)


def test_convention_the_packed_order_is_that_of_the_table():
    code = random_code(num_geometry=2, num_reflectance=1)
    packed = code.pack()
    assert PACKED_SIZE == 245
    np.testing.assert_array_equal(packed[80:132], code.expression)
    np.testing.assert_array_equal(packed[212:215], code.rotation)
    np.testing.assert_array_equal(packed[218:245].reshape(9, 3), code.illumination)
    np.testing.assert_array_equal(packed[245:247], code.geometry_corrective)


def test_packing_tensors_carries_gradients():
    code = random_code((2,)).to_torch()
    packed = code.pack().requires_grad_()
    FaceCode.unpack(packed).illumination.sum().backward()
    assert packed.grad.sum() == 2 * 27


def test_correctives_are_empty_unless_given():
    parts = random_parts((3,))
    del parts["geometry_corrective"], parts["reflectance_corrective"]
    assert FaceCode(**parts).geometry_corrective.shape == (3, 0)


def test_the_neutral_code_stands_one_metre_away_in_white_light():
    code = FaceCode.neutral((2,))
    assert code.batch_shape == (2,)
    np.testing.assert_array_equal(code.translation, [[0, 0, -1000]] * 2)
    np.testing.assert_allclose(code.illumination[:, 0] * 0.28209479, 1.0, rtol=1e-6)
    assert code.illumination[:, 1:].any() == np.False_


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("with_shape", ["shape"]),
        ("with_expression", ["expression"]),
        ("with_reflectance", ["reflectance"]),
        ("with_pose", ["rotation", "translation"]),
        ("with_light", ["illumination"]),
        ("with_correctives", ["geometry_corrective", "reflectance_corrective"]),
    ],
)
def test_a_copy_changes_only_its_part(method, names):
    code, other = FaceCode(**random_parts(seed=0)), FaceCode(**random_parts(seed=1))
    changed = getattr(code, method)(*(getattr(other, name) for name in names))
    for field in fields(FaceCode):
        source = other if field.name in names else code
        assert getattr(changed, field.name) is getattr(source, field.name)


def test_a_code_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        random_code().shape = np.zeros(80)


def test_indexing_selects_one_face_of_a_batch():
    codes = random_code((3,))
    np.testing.assert_array_equal(codes[1].expression, codes.expression[1])
    assert codes[1].batch_shape == ()
    with pytest.raises(IndexError, match="one face"):
        codes[1][0]


def test_torch_and_back_is_the_identity():
    code = random_code((2,), num_geometry=3)
    tensors = code.to_torch()
    assert isinstance(tensors.shape, torch.Tensor)
    assert tensors.to_torch().shape is tensors.shape
    assert_same(tensors.map(lambda part: part.requires_grad_()).to_numpy(), code)


def test_json_and_back_is_the_identity():
    code = random_code(num_geometry=3, num_reflectance=2)
    record = code.to_dict()
    assert list(record["expression"]) == list(EXPRESSION_NAMES)
    assert_same(FaceCode.from_dict(json.loads(json.dumps(record))), code)


def test_expressions_that_are_not_named_are_zero():
    record = FaceCode.neutral().to_dict() | {"expression": {"jawOpen": 0.5}}
    del record["geometry_corrective"], record["reflectance_corrective"]
    code = FaceCode.from_dict(record)
    assert code.expression.sum() == code.expression[EXPRESSION_NAMES.index("jawOpen")] == 0.5
    assert code.geometry_corrective.shape == (0,)


@pytest.mark.parametrize("name", [*PART_SHAPES, "geometry_corrective", "reflectance_corrective"])
def test_a_part_of_the_wrong_size_is_refused(name):
    parts = random_parts((2,))
    parts[name] = parts[name][0]
    parts["shape"] = parts["shape"] if name != "shape" else np.zeros((2, 79))
    with pytest.raises(ValueError, match=r"must have shape \(2, .*\), got"):
        FaceCode(**parts)


@pytest.mark.parametrize("weight", [-0.01, 1.01, np.nan])
@pytest.mark.parametrize("as_torch", [False, True])
def test_an_expression_outside_zero_to_one_is_refused(weight, as_torch):
    code = random_code().to_torch() if as_torch else random_code()
    expression = code.expression * 0
    expression[3] = weight
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got"):
        code.with_expression(expression)


def test_a_short_vector_cannot_be_unpacked():
    with pytest.raises(ValueError, match=r"at least 245 \+ 3 numbers, got 246"):
        FaceCode.unpack(np.zeros(246), num_geometry_corrective=3)


def test_a_batch_cannot_be_written():
    with pytest.raises(ValueError, match=r"only one face .* \(2,\)"):
        FaceCode.neutral((2,)).to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expression": {"jawOpne": 1.0}}, "unknown expressions: jawOpne"),
        ({"expression": {"jawOpen": 1.5}}, r"\[0, 1\]"),
        ({"shape": [0.0] * 79}, r"shape must have shape \(80,\), got \(79,\)"),
        ({"rotation": "left"}, "does not fit this version"),
        ({"rotation": None}, "does not fit this version"),
        ({"expression": [0.0] * 52}, "expression must give weights by name"),
    ],
)
def test_a_record_of_another_kind_is_refused(change, message):
    with pytest.raises(IncompatibleCode, match=message):
        FaceCode.from_dict(FaceCode.neutral().to_dict() | change)


def test_a_record_without_a_part_is_refused():
    record = FaceCode.neutral().to_dict()
    del record["shape"], record["translation"]
    with pytest.raises(IncompatibleCode, match="lacks shape, translation"):
        FaceCode.from_dict(record)
