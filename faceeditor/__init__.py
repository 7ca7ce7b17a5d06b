"""FaceEditor: edit faces through trained face models."""

import os

__version__ = "0.1.0"

# OpenMP reads this when torch is first imported. Threads that spin while they wait take the cores from the window and
# from everything else on the machine: measured on two busy cores, a frame took several times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
