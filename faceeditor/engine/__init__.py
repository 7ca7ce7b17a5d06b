"""The engine: the one thread on which models live and draw."""
