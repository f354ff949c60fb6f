# SPDX-License-Identifier: Apache-2.0
"""USD files are read again by OpenUSD itself: its validators, and its own evaluation of skeletons and blend shapes."""

import io
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.errors import MissingExtra
from facefactor.export.atomic import write_together
from facefactor.export.usd import encode_usd

pytest.importorskip("pxr", reason="usd-core (the extra `usd`) is not installed")
from pxr import Usd, UsdGeom, UsdShade, UsdSkel


@pytest.fixture(params=["head.usdz", "head.usda"])
def path(request, sphere, tmp_path: Path) -> Path:
    """The sphere, written."""
    path = tmp_path / request.param
    write_together(encode_usd(path, sphere))
    return path


@pytest.fixture
def stage(path: Path) -> Usd.Stage:
    return Usd.Stage.Open(str(path))


@pytest.fixture
def skin(stage) -> UsdGeom.Mesh:
    return UsdGeom.Mesh(stage.GetPrimAtPath("/head/skin"))


def test_openusd_finds_nothing_to_say(stage):
    validation = pytest.importorskip("pxr.UsdValidation")
    context = validation.ValidationContext(validation.ValidationRegistry().GetOrLoadAllValidators())
    assert [error.GetMessage() for error in context.Validate(stage)] == []


def test_convention_usd_is_in_metres_with_y_up(stage, skin, sphere):
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == "Y"
    assert stage.GetDefaultPrim().GetPath() == "/head"
    np.testing.assert_allclose(skin.GetPointsAttr().Get(), sphere.vertices_mm / 1000, atol=1e-6)
    np.testing.assert_allclose(skin.GetExtentAttr().Get(), [[-0.09, -0.0882, -0.09], [0.09, 0.0882, 0.09]], atol=1e-4)


def test_every_corner_has_its_uv(skin, sphere):
    np.testing.assert_array_equal(skin.GetFaceVertexCountsAttr().Get(), 3)
    np.testing.assert_array_equal(skin.GetFaceVertexIndicesAttr().Get(), sphere.triangles.ravel())
    uv = UsdGeom.PrimvarsAPI(skin).GetPrimvar("st")
    assert uv.GetInterpolation() == "faceVarying"
    np.testing.assert_allclose(uv.ComputeFlattened(), sphere.uv[sphere.uv_triangles.ravel()], atol=1e-6)


def test_openusd_moves_the_vertices_to_the_opening_expression(stage, skin, sphere):
    opening_m = sphere.posed_vertices_mm / 1000
    assert np.abs(opening_m - sphere.vertices_mm / 1000).max() > 0.001
    assert UsdSkel.BakeSkinning(stage.Traverse())
    np.testing.assert_allclose(skin.GetPointsAttr().Get(Usd.TimeCode.EarliestTime()), opening_m, atol=1e-5)


def test_blend_shapes_carry_their_names_and_touch_only_what_they_move(stage, sphere):
    binding = UsdSkel.BindingAPI(stage.GetPrimAtPath("/head/skin"))
    assert list(binding.GetBlendShapesAttr().Get()) == list(sphere.morph_names)
    assert [target.name for target in binding.GetBlendShapeTargetsRel().GetTargets()] == list(sphere.morph_names)
    counts = [
        len(UsdSkel.BlendShape.Get(stage, f"/head/skin/{name}").GetOffsetsAttr().Get()) for name in sphere.morph_names
    ]
    assert counts[0] < counts[1] == len(sphere.vertices_mm)
    assert counts[2] == 0


def test_the_material_shows_the_texture(path, skin, sphere):
    material, _ = UsdShade.MaterialBindingAPI(skin).ComputeBoundMaterial()
    surface = material.ComputeSurfaceSource()[0]
    source = surface.GetInput("diffuseColor").GetConnectedSources()[0][0].source
    texture = UsdShade.Shader(source.GetPrim())
    assert texture.GetInput("sourceColorSpace").Get() == "sRGB"
    asset = texture.GetInput("file").Get()
    if path.suffix == ".usdz":
        with zipfile.ZipFile(path) as package:
            content = package.read(asset.path)
            assert all(entry.compress_type == zipfile.ZIP_STORED for entry in package.infolist())
    else:
        assert asset.path == "head_albedo.png"
        content = (path.parent / asset.path).read_bytes()
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), sphere.texture_srgb)


def test_the_neutral_head_opens_without_expression(sphere, tmp_path):
    write_together(encode_usd(tmp_path / "a.usdz", replace(sphere, morph_weights=np.zeros(3))))
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    weights = UsdSkel.Animation(stage.GetPrimAtPath("/head/expression")).GetBlendShapeWeightsAttr().Get()
    np.testing.assert_array_equal(weights, 0.0)


def test_without_usd_core_the_message_names_the_extra(sphere, monkeypatch):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(MissingExtra, match=r"writing USD needs pxr, .* pip install 'facefactor\[usd\]'"):
        encode_usd(Path("a.usdz"), sphere)
