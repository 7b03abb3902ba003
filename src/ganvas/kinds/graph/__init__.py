"""Everything that is special about one graph, and nothing else of ganvas knows. The kind itself is in `kind`."""
