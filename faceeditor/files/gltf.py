"""Binary glTF 2.0 (Khronos, "glTF 2.0 Specification", sections 3 and 4) with morph targets and the texture inside."""

from typing import Any, Final

import numpy as np
import pygltflib as gltf
from numpy.typing import NDArray

from faceeditor.faces.mesh import Floats, Mesh
from faceeditor.files.images import png_bytes
from faceeditor.files.provenance import Provenance
from faceeditor.files.smoothing import vertex_normals, welded

STILL: Final = 1e-6
"""Metres: a morph's offsets below this are left out."""
UNTURNED: Final = 1e-3
"""The same for the change of a unit normal."""
DENSE: Final = 0.7
"""Share of moved vertices above which a morph is stored in full instead of as a list of the moved ones."""
ROUGHNESS: Final = 0.6


def glb_bytes(mesh: Mesh, provenance: Provenance) -> bytes:
    """The GLB file of ``mesh``; glTF's v runs down, ours up. Normals are made where the mesh has none."""
    weld = welded(mesh.vertices, list(mesh.morphs.values()))
    computed = vertex_normals(mesh.vertices, mesh.faces, weld)
    build = _Builder()
    attributes = gltf.Attributes(
        POSITION=build.vectors(mesh.vertices, limits=True),
        NORMAL=build.vectors(computed if mesh.normals is None else _unit(mesh.normals)),
        TEXCOORD_0=None if mesh.uv is None else build.vectors(_from_the_top(mesh.uv)),
    )
    targets = []
    for offsets in mesh.morphs.values():
        turned = vertex_normals(mesh.vertices + offsets, mesh.faces, weld) - computed
        targets.append({"POSITION": build.change(offsets, STILL), "NORMAL": build.change(turned, UNTURNED)})
    primitive = gltf.Primitive(
        attributes=attributes, indices=build.indices(mesh.faces), material=0, mode=gltf.TRIANGLES, targets=targets
    )
    extras: dict[str, Any] = {"parts": {name: list(limits) for name, limits in mesh.parts.items()}}
    shape = gltf.Mesh(name="face", primitives=[primitive], extras=extras)
    if targets:
        extras["targetNames"] = list(mesh.morphs)
        shape.weights = [0.0] * len(targets)
    build.material(mesh, provenance)
    document = build.document
    document.asset = gltf.Asset(version="2.0", generator=provenance.program, extras=provenance.extras())
    document.meshes = [shape]
    document.nodes = [gltf.Node(name="face", mesh=0)]
    document.scenes = [gltf.Scene(name="face", nodes=[0])]
    document.scene = 0
    return build.finish()


class _Builder:
    """Collects accessors over one binary blob."""

    def __init__(self) -> None:
        self.document = gltf.GLTF2()
        self._blob = bytearray()

    def finish(self) -> bytes:
        """The whole file."""
        self.document.buffers = [gltf.Buffer(byteLength=len(self._blob))]
        self.document.set_binary_blob(bytes(self._blob))
        return b"".join(self.document.save_to_bytes())

    def view(self, data: bytes, target: int | None = None) -> int:
        """Index of a new buffer view over ``data``, four-byte aligned."""
        self._blob += b"\0" * (-len(self._blob) % 4)
        self.document.bufferViews.append(
            gltf.BufferView(buffer=0, byteOffset=len(self._blob), byteLength=len(data), target=target)
        )
        self._blob += data
        return len(self.document.bufferViews) - 1

    def accessor(self, **fields: Any) -> int:
        """Index of a new accessor."""
        self.document.accessors.append(gltf.Accessor(**fields))
        return len(self.document.accessors) - 1

    def vectors(self, values: Floats, *, limits: bool = False) -> int:
        """A vertex attribute (V, 2 or 3)."""
        data = np.ascontiguousarray(values, "<f4")
        return self.accessor(
            bufferView=self.view(data.tobytes(), gltf.ARRAY_BUFFER),
            componentType=gltf.FLOAT,
            count=len(data),
            type=gltf.VEC3 if data.shape[1] == 3 else gltf.VEC2,
            **(_limits(data) if limits else {}),
        )

    def change(self, values: Floats, least: float) -> int:
        """A morph's offsets (V, 3), as a list of the vertices that move where these are few."""
        moved = np.linalg.norm(values, axis=1) >= least
        data = np.ascontiguousarray(np.where(moved[:, None], values, 0), "<f4")
        if moved.mean() > DENSE:
            return self.vectors(data, limits=True)
        rows = np.flatnonzero(moved) if moved.any() else np.zeros(1, np.int64)
        return self.accessor(
            byteOffset=None,
            componentType=gltf.FLOAT,
            count=len(data),
            type=gltf.VEC3,
            sparse=gltf.Sparse(
                count=len(rows),
                indices=gltf.AccessorSparseIndices(
                    bufferView=self.view(rows.astype("<u4").tobytes()), componentType=gltf.UNSIGNED_INT
                ),
                values=gltf.AccessorSparseValues(bufferView=self.view(data[rows].tobytes())),
            ),
            **_limits(data),
        )

    def indices(self, faces: NDArray[np.integer]) -> int:
        """The corners of the triangles."""
        return self.accessor(
            bufferView=self.view(np.asarray(faces, "<u4").tobytes(), gltf.ELEMENT_ARRAY_BUFFER),
            componentType=gltf.UNSIGNED_INT,
            count=int(faces.size),
            type=gltf.SCALAR,
        )

    def material(self, mesh: Mesh, provenance: Provenance) -> None:
        """One skin-like material, with the texture when there is one."""
        surface = gltf.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=ROUGHNESS)
        material = gltf.Material(name="face", pbrMetallicRoughness=surface, alphaCutoff=None, doubleSided=False)
        if mesh.texture_srgb is not None and mesh.uv is not None:
            picture = self.view(png_bytes(mesh.texture_srgb, provenance))
            self.document.images = [gltf.Image(name="skin", bufferView=picture, mimeType="image/png")]
            self.document.samplers = [
                gltf.Sampler(
                    magFilter=gltf.LINEAR,
                    minFilter=gltf.LINEAR_MIPMAP_LINEAR,
                    wrapS=gltf.CLAMP_TO_EDGE,
                    wrapT=gltf.CLAMP_TO_EDGE,
                )
            ]
            self.document.textures = [gltf.Texture(sampler=0, source=0)]
            surface.baseColorTexture = gltf.TextureInfo(index=0)
            if mesh.texture_srgb.shape[2] == 4:
                material.alphaMode, material.alphaCutoff, material.doubleSided = gltf.MASK, 0.5, True
        self.document.materials = [material]


def _from_the_top(uv: Floats) -> Floats:
    """Texture places (V, 2) with v counted downwards, as glTF has it."""
    return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)


def _unit(normals: Floats) -> Floats:
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.asarray(np.where(length > 1e-6, normals / np.maximum(length, 1e-6), [0, 0, 1]), np.float32)


def _limits(values: NDArray[np.float32]) -> dict[str, list[float]]:
    return {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
