"""What a method does: each task is a stranger to the others."""
