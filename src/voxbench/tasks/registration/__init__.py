"""Which point of this image is that point of the other: linear and deformable registration, without torch."""
