"""Parts of the registration benchmark: pairs, methods, costs, scores, tables."""
