"""Rays, rasters, volumes and surfaces. No Qt."""
