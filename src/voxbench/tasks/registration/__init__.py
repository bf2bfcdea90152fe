"""Which point of one image is that point of the other?"""
