"""Training: the studio, the data and the schedules that make the shipped bundles."""
