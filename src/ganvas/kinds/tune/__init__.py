"""Everything that is special about tunes, and nothing else of ganvas knows. The kind itself is in `kind`."""
