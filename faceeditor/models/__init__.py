"""The face models and the bundles they live in."""
