"""Known heads, and what a perfect portrait analysis says of their drawings."""

import numpy as np

from faceeditor.faces import landmarks as points
from faceeditor.faces.latents import as_code
from faceeditor.faces.layout import EXPRESSION, EXPRESSION_COMPONENTS, HAIR, HAIR_STYLES, IDENTITY, LIGHT
from faceeditor.fitting.easel import neutral_codes, without_hair
from faceeditor.fitting.hair_look import strands_of
from faceeditor.fitting.portrait import Portrait
from faceeditor.models.layers import tensors
from faceeditor.models.portrait import STYLES

SIZE = 192
BEHIND = (0.1, 0.2, 0.3)


def head(model, seed=0, style=None, light=None, **expression):
    """Codes of a random person."""
    random = np.random.default_rng(seed)
    codes = neutral_codes(model)
    codes[IDENTITY] = as_code(0.7 * random.standard_normal(len(codes[IDENTITY])))
    weights = np.zeros(len(codes[EXPRESSION]), np.float32)
    for name, value in expression.items():
        weights[EXPRESSION_COMPONENTS.index(name)] = value
    codes[EXPRESSION] = as_code(weights)
    hair = codes[HAIR].copy()
    if style is not None:
        hair[HAIR_STYLES.start + style] = 1
    codes[HAIR] = as_code(hair)
    if light is not None:
        codes[LIGHT] = as_code(light)
    return codes


def portrait_of(model, codes, camera, behind=BEHIND, size=SIZE):
    """What a perfect portrait analysis says of a drawing of a known head."""
    frame = model.render(codes, camera, size)
    bald = model.render(without_hair(codes), camera, size)
    hair = strands_of(frame.rgb_linear, frame.alpha, (bald.rgb_linear, bald.alpha))
    places = model.landmarks(tensors(codes), camera.yaw).double().numpy()
    return Portrait(
        crop_srgb=frame.over(behind),
        transform=np.eye(3),
        landmarks=camera.project(places, size, size),
        confidence=np.ones(points.COUNT),
        mask=frame.alpha,
        hair=hair * frame.alpha,
        styles=np.full(STYLES, 1 / STYLES),
        inside=np.ones((size, size), bool),
        pose=(camera.yaw, camera.pitch, camera.roll),
        box=(0.0, 0.0, float(size), float(size)),
        presence=1.0,
    )
