"""Everything that is special about images, and nothing else of ganvas knows. The kind itself is in `kind`."""
