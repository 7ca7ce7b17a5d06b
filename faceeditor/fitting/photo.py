"""A photo becomes a face: camera and shape from landmarks, a first look, gradient stages, and a refinement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from faceeditor.errors import UserError
from faceeditor.faces.camera import Camera
from faceeditor.faces.face import Face, Origin
from faceeditor.faces.latents import Codes
from faceeditor.fitting.close_look import look_closer
from faceeditor.fitting.descent import Descent
from faceeditor.fitting.easel import Easel, Gains
from faceeditor.fitting.first_look import first_look
from faceeditor.fitting.hair_look import meet_outline
from faceeditor.fitting.measures import measure
from faceeditor.fitting.own_codes import own_codes
from faceeditor.fitting.placing import place
from faceeditor.fitting.portrait import Portrait
from faceeditor.fitting.progress import FitProgress, Watch
from faceeditor.fitting.refine import Refiner
from faceeditor.fitting.target import Target
from faceeditor.models.contract import FittableModel, OwnCodesModel


@dataclass(frozen=True)
class Plan:
    """What a quality means: ``look`` and ``closer`` are picture sizes of the first look (0 leaves the closer one out);
    ``stages`` of descent are picture sizes and counts of steps; ``own`` is that of codes of a face's own, where a model
    has them; ``outline`` is the size at which the outline is met; ``texels`` of the refinement's texture, ``rounds``
    of it at ``size`` pixels.
    """

    look: int
    closer: int
    stages: tuple[tuple[int, int], ...]
    own: tuple[int, int]
    outline: int
    texels: int
    size: int
    rounds: int


PLANS: Final[Mapping[str, Plan]] = {
    "draft": Plan(look=64, closer=0, stages=((64, 12),), own=(64, 10), outline=96, texels=256, size=192, rounds=3),
    "standard": Plan(
        look=64,
        closer=128,
        stages=((64, 20), (96, 30), (128, 30)),
        own=(128, 30),
        outline=160,
        texels=512,
        size=256,
        rounds=8,
    ),
    "best": Plan(
        look=96,
        closer=160,
        stages=((64, 30), (128, 50), (192, 60)),
        own=(192, 60),
        outline=224,
        texels=512,
        size=384,
        rounds=8,
    ),
}

PREVIEW: Final = 256


def fit_photo(
    portrait: Portrait,
    model: FittableModel,
    *,
    camera: Camera | None = None,
    quality: str = "standard",
    on_step: Callable[[FitProgress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Face:
    """Fits ``model`` to ``portrait``, taken from ``camera`` if that is known.

    ``quality`` is ``draft``, ``standard`` or ``best``. ``on_step`` is called at least every few tenths of a second;
    what it raises ends the fit. Raises :class:`FitCancelled` when ``cancelled`` answers yes, ``UserError`` for a
    quality that there is not. The face's camera shows it as large and where the portrait's crop does; ``origin``
    holds the crop and the figures of :func:`measure` with ``seconds``.
    """
    if quality not in PLANS:
        raise UserError(f"{quality} is not a quality; choose {', '.join(PLANS)}.")
    watch = Watch(on_step, cancelled)
    fit = _Fit(portrait, model, PLANS[quality], watch)
    fit.run(camera)
    face = Face("", model.name, fit.codes, fit.camera, Origin("photo", "", portrait.crop_srgb), fit.gains)
    figures = {**measure(face, portrait, model), "seconds": watch.seconds}
    return face.replace(origin=Origin("photo", "", portrait.crop_srgb, figures))


class _Fit:
    """A fit under way."""

    camera: Camera
    codes: Codes

    def __init__(self, portrait: Portrait, model: FittableModel, plan: Plan, watch: Watch) -> None:
        self.portrait, self.model, self.plan, self.watch = portrait, model, plan, watch
        self.gains: Gains = {}

    def run(self, camera: Camera | None) -> None:
        """All of it."""
        plan, watch = self.plan, self.watch
        watch.stage("Finding camera and shape", 0.05, 1)
        watch.tick()
        placed = place(self.portrait, self.model, camera=camera)
        self.camera = placed.camera
        watch.stage("Looking at light, skin and hair", 0.4, 80)
        self.codes, self.gains = first_look(self._easel(plan.look), placed.identity, placed.expression)
        self._show()
        if plan.closer:
            watch.stage("Looking at brows and eyes", 0.6, 24)
            self.codes = look_closer(self._easel(plan.closer), self.codes, self.gains)
            self._show()
        watch.stage("Fitting", 0.8, sum(steps for _, steps in plan.stages))
        for size, steps in plan.stages:
            self.codes = self._descent(size).run(self.codes, self.gains, steps)
            self._show()
        if isinstance(self.model, OwnCodesModel):
            size, steps = plan.own
            watch.stage("Making the face its own", 0.85, steps)
            self.gains = own_codes(self._descent(size), self.model, self.codes, self.gains, steps)
            self._show()
        self.gains = meet_outline(self._easel(plan.outline), self.codes, self.gains)
        watch.stage("Refining", 0.95, plan.rounds + 1)
        target = Target.of(self.portrait, plan.size)
        refiner = Refiner(self.model, self.codes, self.gains, self.camera, target, plan.texels, watch.tick)
        for _ in range(plan.rounds):
            refiner.step()
            self.gains = refiner.gains()
            self._show()

    def _descent(self, size: int) -> Descent:
        sure = torch.from_numpy(np.array(self.portrait.confidence))
        return Descent(self.model, self.camera, Target.of(self.portrait, size), sure, self.watch.tick)

    def _easel(self, size: int) -> Easel:
        return Easel(self.model, self.camera, Target.of(self.portrait, size), self.watch.tick)

    def _show(self) -> None:
        """Streams the current picture, over the photo."""
        frame = self.model.render(self.codes, self.camera, PREVIEW, refinement=self.gains or None)
        self.watch.tell(frame.over(Target.of(self.portrait, PREVIEW).linear))
