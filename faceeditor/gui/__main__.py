"""``python -m faceeditor.gui``."""

import sys

from faceeditor.gui.app import main

sys.exit(main())
