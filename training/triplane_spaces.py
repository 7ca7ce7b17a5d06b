"""The latent spaces of a tri-plane head: identity with hair, and expression."""

from dataclasses import replace

from faceeditor.faces.latents import Choice, Space, as_code
from faceeditor.faces.layout import DIMS, EXPRESSION, IDENTITY
from faceeditor.models.bundle import load_model
from faceeditor.models.triplane import TriplaneConfig
from training.guided_spaces import EXAMPLES, LABELS, Floats, covariance_factor, make_spaces
from training.imface_spaces import lengthened
from training.studio.assets import HAIR_STYLES
from training.triplane_codes import HeadCodes


def triplane_spaces(codes: HeadCodes, config: TriplaneConfig) -> dict[str, Space]:
    """The spaces ``identity`` and ``expression`` of the codes that a head was trained with.

    Identities are drawn from N(μ, Σ) of all codes (section 6.1.3). The studio's own have its sliders, and hair styles
    to choose from.
    """
    found = {name: _space(name, codes.table(name).detach().cpu().numpy()) for name in (IDENTITY, EXPRESSION)}
    if codes.learned:
        return found
    studio = make_spaces(load_model("template-studio"), 0)
    longer = lengthened(studio[IDENTITY], config.identity_dims)
    hair = Choice("style", IDENTITY, DIMS[IDENTITY], HAIR_STYLES, "bald", "Hair", "Hair style")
    identity = replace(found[IDENTITY], directions=longer.directions, choices=(hair,))
    return {IDENTITY: identity, EXPRESSION: lengthened(studio[EXPRESSION], config.expression_dims)}


def _space(name: str, table: Floats) -> Space:
    return Space(
        name=name,
        label=LABELS[name],
        mean=as_code(table.mean(0)),
        scale=as_code(table.std(0)),
        low=as_code(table.min(0)),
        high=as_code(table.max(0)),
        factor=covariance_factor(table),
        examples=table[:EXAMPLES],
        gaussian=name == IDENTITY,
    )
