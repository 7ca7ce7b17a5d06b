"""The synthetic capture studio: heads drawn from known factors, with every truth kept."""
