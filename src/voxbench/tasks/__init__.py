"""What a method does; tasks are strangers to each other."""
