"""A local web browser of a run folder: an index of its samples, pages made from it, and the server that guards them."""
