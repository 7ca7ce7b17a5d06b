"""From pictures to faces: portrait analysis and fitting."""
