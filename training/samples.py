"""Makes the sample gallery that a first start shows: eight plausible people with studio light and open eyes.

``python -m training.samples`` writes ``resources/samples/*.face``, the same ones every time.
"""

from pathlib import Path
from typing import Final

import numpy as np

from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import IDENTITY
from faceeditor.files.project import FaceFile, write_face
from faceeditor.models.bundle import load_model, read_manifest
from faceeditor.models.guided import GuidedHead
from faceeditor.resources import resource_path
from training.studio.factors import expression_code, hair_code, neutral_light, skin_code
from training.studio.sampling import HAIR_COLOURS

MODEL: Final = "guided-studio"
THUMBNAIL: Final = 128
DISTANCE: Final = 0.72

Person = tuple[str, int, int, int, int, int | None, str, int, dict[str, float]]

PEOPLE: Final[tuple[Person, ...]] = (
    # name, seed, skin, brows, iris, hair style, hair colour, yaw, expression
    ("Ada", 3, 16, 3, 8, 4, "auburn", 12, {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}),
    ("Bram", 11, 19, 6, 4, 6, "dark brown", -14, {}),
    ("Chidi", 21, 13, 7, 4, 0, "black", 8, {"mouthSmileLeft": 0.25, "mouthSmileRight": 0.25}),
    ("Dalia", 34, 14, 2, 7, 5, "brown", -18, {"browInnerUpLeft": 0.2, "browInnerUpRight": 0.2}),
    ("Emil", 45, 10, 8, 3, 9, "grey", 15, {}),
    ("Fatou", 52, 12, 1, 4, 3, "black", -8, {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5}),
    ("Goran", 68, 5, 9, 0, None, "brown", 20, {}),
    ("Hana", 77, 15, 4, 2, 2, "dark brown", 5, {"mouthSmileLeft": 0.15, "mouthSmileRight": 0.15}),
)


def make_people(model: GuidedHead) -> list[Face]:
    """The eight faces."""
    space = model.spaces[IDENTITY]
    faces = []
    for name, seed, skin, brow, iris, hair, colour, yaw, expression in PEOPLE:
        red, green, blue = HAIR_COLOURS[colour]
        codes = {
            "identity": as_code(0.9 * space.random(np.random.default_rng(seed))),
            "expression": expression_code(**expression),
            "skin": skin_code({skin: 1.0}, brow=brow, brow_colour=(0.6 * red, 0.6 * green, 0.6 * blue), iris=iris),
            "light": neutral_light(),
            "hair": hair_code(hair, (red, green, blue)),
        }
        faces.append(
            Face(
                name,
                MODEL,
                codes,
                Camera(yaw=float(yaw), pitch=4.0, distance=DISTANCE),
                Origin("sample", f"seed {seed}"),
            )
        )
    return faces


def main(folder: Path | None = None) -> None:
    """Write the gallery."""
    out = folder or resource_path("samples")
    out.mkdir(parents=True, exist_ok=True)
    model = load_model(MODEL)
    digest = read_manifest(resource_path("models", MODEL))["hash"]
    for face in make_people(model):
        thumbnail = model.render(face.codes, face.camera, THUMBNAIL).over()
        write_face(out / f"{face.name.lower()}.face", FaceFile(face, digest, thumbnail))


if __name__ == "__main__":
    main()
