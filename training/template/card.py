"""The model card of the template's bundle."""

from pathlib import Path
from typing import Final

from faceeditor.models.template import Template
from training.template.mesh import POSES
from training.template.report import PEOPLE, STRONG

MIT_NOTICE: Final = """\
MIT License

Copyright (c) 2020 USC Institute for Creative Technologies

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""

CARD: Final = """\
---
license: mit
tags: [face, head, template, blendshapes, arkit]
library_name: faceeditor
---

# template-studio

FaceEditor's head template: a symmetric mesh of {vertices} vertices ({render} with texture seams split) and {faces}
triangles with an atlas of its own, a linear shape decoder (100 identity components, 53 expression components), 68
landmarks, and {styles} hair styles as cards ({hair} triangles) that follow the head.

It gives every model of the program a fixed topology to draw, export and compare. It is no scan of a person and knows
nothing of skin or light.

## How it was made

`python -m training.template --data ../shared/data --out resources/models/template-studio`, deterministic, without
learning: the right half of the studio's mended head is simplified by half-edge collapses whose quadric errors are
summed over the face at rest, {poses} expressions and three identities, so that it keeps vertices where the face bends;
it is then mirrored and welded. Every vertex stays one of the studio's, so the decoder is exact at the vertices. Texture
charts are the studio's, laid out anew so that the atlas is its own mirror image. Hair styles are simplified the same
way and hung on the template's vertices, eight each.

## Measured

Distances in millimetres between the template's and the studio's skin, sampled evenly by area, mean over {people}
identities drawn from N(0, 0.8) that were not used to make it:

{table}

Strong expressions are {strong} random components at weights 0.5 to 1.

## Limits

The identity space is that of the ICT Face Model Light. There is no body, and the hair styles are few. At `eyeBlink` = 1
the lids meet; sums of many expressions at full weight can fold skin, as in the studio.

## Sources and licences

Shape and expression: ICT-FaceKit (ICT Face Model Light), MIT licence, below. Hair cards: MakeHuman's hair assets, CC0
1.0.

```
{licence}```
"""


def write_card(path: Path, template: Template, measured: dict[str, float]) -> None:
    """Write the model card, with the measured figures of :func:`training.template.report.report`."""
    text = CARD.format(
        table=_table(measured),
        vertices=len(template.mean),
        render=len(template.uv),
        faces=len(template.faces),
        styles=len(template.styles),
        hair=len(template.hair_faces),
        poses=len(POSES),
        people=PEOPLE,
        strong=STRONG,
        licence=MIT_NOTICE,
    )
    path.write_text(text, encoding="utf-8")


def _table(measured: dict[str, float]) -> str:
    lines = [
        "| | template to studio, mean / 95 % | studio to template, mean / 95 % | worst head's mean |",
        "|---|---|---|---|",
    ]
    for kind, name in (("rest", "at rest"), ("strong", "strong expressions")):
        ways = [
            f"{measured[f'{kind}_{way}_mm']:.3f} / {measured[f'{kind}_{way}_p95_mm']:.3f}"
            for way in ("to_studio", "from_studio")
        ]
        lines.append(f"| {name} | {ways[0]} | {ways[1]} | {measured[f'{kind}_to_studio_mm_worst']:.3f} |")
    return "\n".join(lines)
