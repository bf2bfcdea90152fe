"""Who asks, in which files, scored how: one folder a challenge."""
