"""How faces of models that give a surface and no radiance are drawn."""

from faceeditor.faces.camera import Camera
from faceeditor.faces.latents import Codes
from faceeditor.faces.mesh import Mesh
from faceeditor.models.contract import Frame, MeshModel, Quality, Refinement
from faceeditor.models.memo import Memo, fingerprint
from faceeditor.rendering.mesh_picture import MeshPainter


class MeshLook:
    """Draws meshes with their texture in soft light; remembers the last ones, so that a turned camera costs little."""

    def __init__(self) -> None:
        self._meshes: Memo[Mesh] = Memo(2)
        self._painter = MeshPainter()

    def frame(
        self,
        model: MeshModel,
        codes: Codes,
        camera: Camera,
        size: int,
        quality: Quality,
        refinement: Refinement | None = None,
    ) -> Frame:
        """See :meth:`faceeditor.models.contract.RadianceModel.render`."""
        key = (fingerprint(codes.values()), tuple(refinement or {}), fingerprint((refinement or {}).values()), quality)
        mesh = self._meshes.get(key, lambda: model.mesh(codes, refinement, textured=True, quality=quality))
        return Frame(*self._painter.draw(mesh, camera, size, rays_a_side=2 if quality is Quality.FULL else 1))
