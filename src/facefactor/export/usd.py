# SPDX-License-Identifier: Apache-2.0
"""One textured head with its expressions as USD: `.usdz`, one file with the texture inside, or `.usda`, text beside it.

Needs usd-core (the extra `usd`). What is written, in metres, y up, the face to +z:

    /head (SkelRoot) ─┬─ skin (Mesh): points, normals, uv per corner ─┬─ eyeBlinkLeft, … (52 BlendShapes, sparse)
                      ├─ skeleton: one joint at rest, as UsdSkel asks └─ bound to skeleton and material
                      ├─ expression (SkelAnimation): the weights that the head opens with
                      └─ material: UsdPreviewSurface with the texture as diffuse colour

A program that knows no blend shapes shows the head without expression. Sources: OpenUSD's UsdSkel schema documentation,
https://openusd.org/release/api/_usd_skel__schemas.html; UsdPreviewSurface specification,
https://openusd.org/release/spec_usdpreviewsurface.html; USDZ specification, https://openusd.org/release/spec_usdz.html
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facefactor.errors import require
from facefactor.export.atomic import encode_png
from facefactor.export.glb import METRES_PER_MM, SKIN_ROUGHNESS, GlbMesh, morph_changes, unit_normals
from facefactor.export.obj import texture_beside

if TYPE_CHECKING:
    from pxr import Usd

HEAD = "/head"


def encode_usd(path: Path, mesh: GlbMesh) -> dict[Path, bytes]:
    """Return the files of a head: `NAME.usdz`; or `NAME.usda`, and beside it `NAME_albedo.png`.

    Args:
        path: of the file, ending in .usdz or .usda.
        mesh: the head.

    Raises:
        MissingExtra: usd-core is not installed.
    """
    require("pxr", "usd", "writing USD")
    texture_png = encode_png(mesh.texture_srgb)
    if path.suffix.lower() == ".usdz":
        return {path: _package(mesh, texture_png)}
    texture_path = texture_beside(path)
    stage = _head_stage(mesh, texture_path.name)  # which owns its layer
    return {texture_path: texture_png, path: stage.GetRootLayer().ExportToString().encode()}


def _package(mesh: GlbMesh, texture_png: bytes) -> bytes:
    """The head as one USDZ file."""
    from pxr import Sdf, UsdUtils

    with tempfile.TemporaryDirectory() as folder:
        scene, package = Path(folder, "head.usdc"), Path(folder, "head.usdz")
        texture = Path(folder, "albedo.png")
        texture.write_bytes(texture_png)
        stage = _head_stage(mesh, texture.name)
        stage.GetRootLayer().Export(str(scene))
        UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(scene)), str(package))
        return package.read_bytes()


def _head_stage(mesh: GlbMesh, texture_name: str) -> Usd.Stage:
    """The scene, in memory."""
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.CreateInMemory()
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdSkel.Root.Define(stage, HEAD)
    stage.SetDefaultPrim(root.GetPrim())
    skin = _add_surface(stage, mesh)
    _add_morphs(stage, skin, mesh)
    _add_material(stage, skin, texture_name)
    UsdGeom.Boundable(root).CreateExtentAttr(skin.GetExtentAttr().Get())
    return stage


def _add_surface(stage: Usd.Stage, mesh: GlbMesh) -> Any:
    """Add the neutral head; return its UsdGeom.Mesh."""
    from pxr import Sdf, UsdGeom, Vt

    skin = UsdGeom.Mesh.Define(stage, f"{HEAD}/skin")
    points = _vectors(mesh.vertices_mm * METRES_PER_MM)
    skin.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    skin.CreatePointsAttr(points)
    skin.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(points))
    skin.CreateFaceVertexCountsAttr(Vt.IntArray(len(mesh.triangles), 3))
    skin.CreateFaceVertexIndicesAttr(_integers(mesh.triangles))
    skin.CreateNormalsAttr(_vectors(unit_normals(mesh.vertices_mm, mesh.triangles)))
    skin.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    kind = Sdf.ValueTypeNames.TexCoord2fArray
    uv = UsdGeom.PrimvarsAPI(skin).CreatePrimvar("st", kind, UsdGeom.Tokens.faceVarying)
    uv.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(mesh.uv, dtype=np.float32)))
    uv.SetIndices(_integers(mesh.uv_triangles))
    return skin


def _add_morphs(stage: Usd.Stage, skin: Any, mesh: GlbMesh) -> None:
    """Add a blend shape for each morph, the animation that holds their weights, and the skeleton that both need."""
    from pxr import UsdSkel, Vt

    binding = UsdSkel.BindingAPI.Apply(skin.GetPrim())
    targets = binding.CreateBlendShapeTargetsRel()
    for name, (moved_mm, turned) in zip(mesh.morph_names, morph_changes(mesh), strict=True):
        shape = UsdSkel.BlendShape.Define(stage, f"{HEAD}/skin/{name}")
        changed = np.flatnonzero(moved_mm.any(axis=1) | turned.any(axis=1))
        shape.CreatePointIndicesAttr(_integers(changed))
        shape.CreateOffsetsAttr(_vectors(moved_mm[changed] * METRES_PER_MM))
        shape.CreateNormalOffsetsAttr(_vectors(turned[changed]))
        targets.AddTarget(shape.GetPath())
    names = Vt.TokenArray(list(mesh.morph_names))
    binding.CreateBlendShapesAttr(names)

    expression = UsdSkel.Animation.Define(stage, f"{HEAD}/expression")
    expression.CreateBlendShapesAttr(names)
    expression.CreateBlendShapeWeightsAttr(Vt.FloatArray(mesh.morph_weights.astype(float).tolist()))
    _bind_skeleton(stage, binding, expression)


def _bind_skeleton(stage: Usd.Stage, binding: Any, expression: Any) -> None:
    """Add a skeleton of one joint, which never moves, and give it the skin and the animation."""
    from pxr import Gf, UsdSkel, Vt

    skeleton = UsdSkel.Skeleton.Define(stage, f"{HEAD}/skeleton")
    skeleton.CreateJointsAttr(Vt.TokenArray(["head"]))
    at_rest = Vt.Matrix4dArray([Gf.Matrix4d(1.0)])
    skeleton.CreateBindTransformsAttr(at_rest)
    skeleton.CreateRestTransformsAttr(at_rest)
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([expression.GetPath()])
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateJointIndicesPrimvar(constant=True, elementSize=1).Set(Vt.IntArray([0]))
    binding.CreateJointWeightsPrimvar(constant=True, elementSize=1).Set(Vt.FloatArray([1.0]))


def _add_material(stage: Usd.Stage, skin: Any, texture_name: str) -> None:
    """Add the material, and bind it to the skin."""
    from pxr import Sdf, UsdShade

    types, path = Sdf.ValueTypeNames, f"{HEAD}/material"
    material = UsdShade.Material.Define(stage, path)
    surface, texture, reader = (UsdShade.Shader.Define(stage, f"{path}/{part}") for part in ("surface", "albedo", "uv"))
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", types.String).Set("st")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", types.Asset).Set(Sdf.AssetPath(texture_name))
    texture.CreateInput("sourceColorSpace", types.Token).Set("sRGB")
    for direction in ("wrapS", "wrapT"):
        texture.CreateInput(direction, types.Token).Set("clamp")
    texture.CreateInput("st", types.Float2).ConnectToSource(reader.CreateOutput("result", types.Float2))
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", types.Float).Set(SKIN_ROUGHNESS)
    surface.CreateInput("metallic", types.Float).Set(0.0)
    colour = surface.CreateInput("diffuseColor", types.Color3f)
    colour.ConnectToSource(texture.CreateOutput("rgb", types.Float3))
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", types.Token))
    UsdShade.MaterialBindingAPI.Apply(skin.GetPrim()).Bind(material)


def _vectors(vectors: np.ndarray) -> Any:
    """(N, 3) as USD's array of float vectors."""
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(vectors, dtype=np.float32))


def _integers(numbers: np.ndarray) -> Any:
    """Any integers, row by row, as USD's array."""
    from pxr import Vt

    return Vt.IntArray.FromNumpy(np.ascontiguousarray(numbers, dtype=np.int32).ravel())
