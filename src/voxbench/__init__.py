"""voxbench: one toolbox for volumetric medical imaging challenges."""
