"""Learning from volumes (torch): one loop for every method. Importing this package imports no torch; its files do."""
