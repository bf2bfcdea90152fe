"""What a method does: each task is a stranger to the others."""

"""What a method does; tasks are strangers to each other."""
