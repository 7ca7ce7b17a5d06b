"""A small stand-in for the studio's data folder, in the published layout, made from formulas."""

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from faceeditor.faces.layout import EXPRESSION_COMPONENTS
from training.studio.assets import BROWS, HAIR_STYLES, IRISES, SKINS

SIDEWAYS = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")
EYE_CORNERS = ((-1.5, 0), (-0.7, 1), (0.7, 1), (1.5, 0), (0.7, -1), (-0.7, -1))
UP = (0.0, 0.4, 0.2)
CENTRE, RADII = np.array([0.0, 3.4, 2.5]), np.array([8.0, 11.0, 9.5])
EYE, EYE_RADIUS = np.array([3.1, 3.6, 10.2]), 1.3
LANDMARK_SPOTS = [
    *[(7.5 * np.cos(a), 1.5 - 7.5 * np.sin(a), 8) for a in np.linspace(np.pi, 0, 17) - 1e-3],
    *[(x, 6.0, 11) for x in (-5, -4, -3, -2, -1, 1, 2, 3, 4, 5)],
    *[(0, y, 12) for y in (4, 3, 2, 1)],
    *[(x, 0, 12) for x in (-1.2, -0.6, 0, 0.6, 1.2)],
    *[(side * 3.1 + x, 3.6 + y, 11) for side in (-1, 1) for x, y in EYE_CORNERS],
    *[(2.2 * np.cos(a), -3.5 + 1.0 * np.sin(a), 11) for a in np.linspace(np.pi, -np.pi, 12, endpoint=False)],
    *[(1.5 * np.cos(a), -3.5 + 0.5 * np.sin(a), 11) for a in np.linspace(np.pi, -np.pi, 8, endpoint=False)],
]  # fmt: skip


def _grid(rows, columns, place):
    """A grid of quads, counter-clockwise from outside: ``place(s, t)`` for s, t in [0, 1], s to the subject's left."""
    t, s = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 1, columns + 1), indexing="ij")
    points = np.stack(place(s, t), axis=-1).reshape(-1, 3)
    at = np.arange(len(points)).reshape(rows + 1, columns + 1)
    quads = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], axis=-1).reshape(-1, 4)
    return points, quads, np.stack([0.02 + 0.96 * s, 0.02 + 0.96 * t], axis=-1).reshape(-1, 2)


def _shell(centre, radii, turn, rise):
    """An ellipsoid patch: degrees of longitude (0 is the front) and latitude."""

    def place(s, t):
        across, up = np.radians(turn[0] + s * (turn[1] - turn[0])), np.radians(rise[0] + t * (rise[1] - rise[0]))
        return [
            centre[0] + radii[0] * np.sin(across) * np.cos(up),
            centre[1] + radii[1] * np.sin(up),
            centre[2] + radii[2] * np.cos(across) * np.cos(up),
        ]

    return place


def _tube(s, t):
    """A neck that goes on below where busts are cut."""
    turn = np.radians(-180 + 360 * s)
    return [5 * np.sin(turn), -19 + 16 * t, 5 * np.cos(turn)]


def _joined(first, second):
    """Two grids as one part."""
    points, quads, uv = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    quads[len(first[1]) :] += len(first[0])
    return points, quads, uv


def _both(name, points, quads, uv, material, tile):
    """The left part as given and its mirror image on the right."""
    flipped = points * [-1, 1, 1]
    return [(f"{name}_left", points, quads, uv, material.format("Left"), tile),
            (f"{name}_right", flipped, quads[:, ::-1], uv, material.format("Right"), tile)]  # fmt: skip


def _parts():
    inner, open_front = np.array([1.8, 1.2, 1.2]), ((-60, 60), (-60, 60))
    eye = _grid(12, 12, _shell(EYE, EYE_RADIUS * np.ones(3), (-90, 90), (-80, 80)))
    back = _grid(24, 24, _shell(CENTRE, RADII, (100, 260), (-75, 75)))
    iris = _grid(4, 4, _shell(EYE, 0.9 * np.ones(3), (-40, 40), (-40, 40)))
    socket = _grid(4, 4, _shell(EYE - [0, 0, 1.5], np.ones(3), (-60, 60), (-60, 60)))
    lash = _grid(2, 4, lambda s, t: [EYE[0] - 1 + 2 * s, EYE[1] + 1 + 0.4 * t, EYE[2] + 0.9 + t])
    return [
        ("face", *_grid(44, 44, _shell(CENTRE, RADII, (-100, 100), (-62, 75))), "M_Face", 0),
        ("head_and_neck", *_joined(back, _grid(8, 24, _tube)), "M_BackHead", 1),
        ("mouth_socket", *_grid(4, 4, _shell(np.array([0, -3.5, 5]), inner, *open_front)), "M_BackHead", 1),
        *_both("eye_socket", *socket, "M_BackHead", 1),
        ("gums_and_tongue", *_grid(4, 4, _shell(np.array([0, -3.8, 6]), inner, *open_front)), "M_GumsTongue", 2),
        ("teeth", *_grid(4, 4, _shell(np.array([0, -3.2, 7]), inner, *open_front)), "M_Teeth", 3),
        *_both("sclera", *eye, "M_Sclera{}", 0),
        *_both("iris", *iris, "M_Iris{}", 0),
        *_both("eyelashes", *lash, "M_EyeLashes", 6),
    ]  # fmt: skip


def _bump(points, centre, width, offset):
    near = np.exp(-((points - centre) ** 2).sum(axis=1) / (2 * width**2))
    return near[:, None] * np.asarray(offset, float)


def _expression(name, points, eyes):
    """A plausible movement of every name: lids forward over the eye, the eyeball turned, the rest a bump of its own."""
    sign = -1 if name.endswith("Right") and name not in SIDEWAYS else 1
    at = EYE * [sign, 1, 1]
    if name.startswith("eyeBlink"):
        return np.where(eyes[:, None], 0, _bump(points, at, 1.6, (0, 0, 1.6)))
    if name.startswith("eyeLook"):
        side = {"In": (-0.3 * sign, 0), "Out": (0.3 * sign, 0), "Up": (0, 0.3), "Down": (0, -0.3)}
        x, y = next(move for word, move in side.items() if word in name)
        own = eyes & (np.sign(points[:, 0]) == sign)
        return own[:, None] * np.maximum(points[:, 2:] - EYE[2], 0) * np.array([x, y, 0])
    if name == "jawOpen":
        return _bump(points, (0, -6, 8), 3, (0, -2, 0))
    if name in SIDEWAYS:
        return _bump(points, (0, -4, 11), 2, (0.6 if name.endswith("Left") else -0.6, 0, 0))
    if sign < 0 or name.endswith("Left"):
        return _bump(points, (sign * 3, 7 - 12 * _number(name.removesuffix("Left").removesuffix("Right")), 10), 1.5, UP)
    return _bump(points, (0, -4, 11), 1.5, (0, 0.3 * np.cos(9 * _number(name)), 0.5))


def _number(text):
    """A number in [0, 1) that is the same in every run."""
    return sum(ord(letter) * 0.137 for letter in text) % 1


def _identity(points):
    """100 smooth modes, every fourth one leaning to one side."""
    modes = []
    for index in range(100):
        y, z = points[:, 1] / 5 + index, points[:, 2] / 5 - index
        if index % 4 == 3:
            modes.append(np.stack([0.05 * np.cos(y), 0 * y, 0.03 * np.sin(points[:, 0] / 3) * np.cos(z)], axis=1))
        else:
            modes.append(np.stack([0.05 * points[:, 0] / 8 * np.cos(y), 0.05 * np.sin(y), 0.05 * np.cos(z)], axis=1))
    return np.stack(modes)


def _short(name):
    return name if name in SIDEWAYS else name.replace("Left", "_L").replace("Right", "_R")


def write_head(folder):
    """``ict_head.npz`` with the published keys."""
    parts = _parts()
    vertex_ranges, quad_ranges, materials, tiles, quads, quads_uv, uv, points = [], [], [], [], [], [], [], []
    vertices = polygons = 0
    names = list(dict.fromkeys(part[4] for part in parts))
    for _, own, own_quads, own_uv, material, tile in parts:
        vertex_ranges.append((vertices, vertices + len(own)))
        quad_ranges.append((polygons, polygons + len(own_quads)))
        quads.append(own_quads + vertices)
        quads_uv.append(own_quads + vertices)
        uv.append(own_uv + np.array([tile, 0]))
        points.append(own)
        materials += [names.index(material)] * len(own_quads)
        tiles += [tile] * len(own_quads)
        vertices, polygons = vertices + len(own), polygons + len(own_quads)
    points, quads, uv = np.concatenate(points), np.concatenate(quads), np.concatenate(uv)
    regions = [part[0] for part in parts]
    eyes = np.zeros(len(points), bool)
    for region, (start, end) in zip(regions, vertex_ranges, strict=True):
        eyes[start:end] = region.startswith(("sclera", "iris"))
    face_end = vertex_ranges[0][1]
    nearest = cKDTree(points[:face_end]).query(np.array(LANDMARK_SPOTS))[1]
    moves = np.stack([_expression(name, points, eyes) for name in EXPRESSION_COMPONENTS])
    tris = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    floats = {"neutral": points, "uv": uv}
    halves = {"identity": _identity(points), "expression": moves}
    whole = {
        "quads": quads,
        "quads_uv": quads,
        "tris": tris,
        "tris_uv": tris,
        "tri_quad": np.tile(np.arange(len(quads)), 2),
        "quad_material": materials,
        "quad_uv_tile": tiles,
        "region_vertex_range": vertex_ranges,
        "region_quad_range": quad_ranges,
        "landmarks68": nearest,
        "jaw_right": nearest[:8] + 1,
        "jaw_left": nearest[9:17] - 1,
    }
    names_of = {
        "expression_names": [_short(name) for name in EXPRESSION_COMPONENTS],
        "material_names": names,
        "region_names": regions,
    }
    np.savez(
        folder / "ict_head.npz",
        **{key: np.asarray(value, np.float32) for key, value in floats.items()},
        **{key: np.asarray(value, np.float16) for key, value in halves.items()},
        **{key: np.asarray(value, np.int32) for key, value in whole.items()},
        **{key: np.asarray(value) for key, value in names_of.items()},
    )
    return points


def write_pictures(folder):
    """Skins from dark to light, brows, eyes and lashes."""
    for name in ("albedo", "brows", "eyes", "lashes", "hair"):
        (folder / name).mkdir()
    for index, name in enumerate(SKINS):
        skin = np.broadcast_to(np.array([200, 150, 120]) * (0.4 + 0.03 * index), (24, 24, 3)).astype(np.uint8)
        Image.fromarray(skin).save(folder / "albedo" / f"{name}.jpg")
        Image.fromarray(skin).save(folder / "albedo" / f"{name}_head.jpg")
    for index, name in enumerate(BROWS):
        brow = np.zeros((24, 24, 4), np.uint8)
        brow[8 + index % 3, 5:19, 3] = 255
        Image.fromarray(brow).save(folder / "brows" / f"{name}.png")
    for index, name in enumerate(IRISES):
        eye = np.full((24, 24, 3), 220, np.uint8)
        eye[9:15, 9:15] = (10 * index, 80, 200 - 10 * index)
        for side in ("left", "right"):
            Image.fromarray(eye).save(folder / "eyes" / f"{name}_{side}.jpg", quality=95)
    lash = np.zeros((24, 24), np.uint8)
    lash[:, ::3] = 255
    Image.fromarray(lash).save(folder / "lashes" / "lash_alpha.png")


def write_hair(folder, points):
    """Caps of several lengths with opaque middles and see-through rims."""
    tree = cKDTree(points)
    for index, name in enumerate(HAIR_STYLES):
        low = 20 + 3 * index
        cap, quads, uv = _grid(10, 20, _shell(CENTRE, RADII * 1.06, (0, 360), (low, 88)))
        faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
        distance, nearest = tree.query(cap, 8)
        normals = (cap - CENTRE) / RADII**2
        np.savez(
            folder / "hair" / f"{name}.npz",
            vertices=cap.astype(np.float32),
            faces=faces,
            faces_uv=faces,
            uv=uv.astype(np.float32),
            normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
            bind_vertices=nearest.astype(np.int32),
            bind_weights=(1 / (distance + 0.1)).astype(np.float16),
        )
        painted = np.full((24, 24, 4), 90, np.uint8)
        painted[..., 3] = 255
        painted[-3:, ::2, 3] = 0
        Image.fromarray(painted).save(folder / "hair" / f"{name}.png")
