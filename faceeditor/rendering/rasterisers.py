"""Which rasteriser this machine gets."""

from faceeditor.rendering.raster import Rasteriser
from faceeditor.rendering.raster_gl import GLRasteriser
from faceeditor.rendering.raster_numpy import SoftwareRasteriser


def make_rasteriser() -> Rasteriser:
    """OpenGL where it works, else numpy."""
    try:
        return GLRasteriser()
    except Exception:
        return SoftwareRasteriser()
