"""Containers of grand-challenge: what goes in and out of them, how they are built, and how they are tried without one.

Nothing here knows a challenge: each says in its ``algorithm.py`` what its container takes and gives.
"""
