"""The floors: the best plain version of each thing that a good engineer would write by hand."""
