"""Put the template together and write its bundle."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from faceeditor.models.bundle import write_bundle
from faceeditor.models.template import HairRange, Template
from training.studio.assets import Assets
from training.studio.head import HeadModel
from training.template.card import write_card
from training.template.hair import HairCards, build_hair
from training.template.mesh import TemplateMesh, build_mesh
from training.template.report import report


def build_template(data: Path) -> Template:
    """The template made from the studio's data folder; the same answer every time."""
    head = HeadModel.load(data)
    mesh = build_mesh(head)
    return assemble(head, mesh, build_hair(head, Assets(data), mesh))


def write_template(data: Path, out: Path) -> None:
    """Build the template, measure it, and write its bundle and model card to the folder ``out``."""
    template = build_template(data)
    measured = report(HeadModel.load(data), template)
    write_bundle(
        out,
        architecture="template",
        configuration=template.configuration(),
        training={"data": "studio", "measured": measured},
        tensors=template.stored(),
    )
    write_card(out / "README.md", template, measured)


def assemble(head: HeadModel, mesh: TemplateMesh, hair: HairCards) -> Template:
    """The template's tables from the mesh and the hair made for it."""
    basis = np.concatenate([head.identity_modes, head.expression_modes])[:, mesh.source]
    return Template(
        mean=_floats(head.neutral[mesh.source]),
        basis=_floats(basis),
        render_vertex=_whole(mesh.render_vertex),
        uv=_floats(mesh.uv),
        card_uv=_floats(_card_uv(mesh)),
        faces=_whole(mesh.faces),
        mirror=_whole(mesh.mirror),
        render_mirror=_whole(mesh.render_mirror),
        identity_signs=_floats(head.mirror_identity),
        expression_mirror=_whole(head.mirror_expression),
        landmark_vertices=_whole(np.searchsorted(mesh.source, head.landmarks68)),
        jaw_left=_whole(np.searchsorted(mesh.source, head.jaw_left)),
        jaw_right=_whole(np.searchsorted(mesh.source, head.jaw_right)),
        hair_rest=_floats(hair.rest),
        hair_normals=_floats(hair.normals),
        hair_uv=_floats(hair.uv),
        hair_faces=_whole(hair.faces),
        hair_bind=_whole(hair.bind),
        hair_weights=_floats(hair.weights),
        parts=mesh.parts,
        styles={name: HairRange(*limits) for name, limits in hair.ranges.items()},
    )


def _card_uv(mesh: TemplateMesh) -> NDArray[np.floating]:
    """The lashes' place in the lash picture; the left lashes use the right ones' part of it, mirrored."""
    start, end = mesh.parts["lashesLeft"][0], mesh.parts["lashesRight"][1]
    lashes = np.unique(mesh.faces[start:end])
    uv = np.zeros((len(mesh.uv), 2))
    uv[lashes] = mesh.half.wedge_uv[mesh.render_wedge[lashes]] - [6, 0]
    return uv


def _floats(values: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32).copy())


def _whole(values: NDArray[np.integer]) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.int64).copy())
