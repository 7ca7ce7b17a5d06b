"""FaceEditor: edit faces through trained face models."""

__version__ = "0.1.0"
