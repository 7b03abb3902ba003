"""Systems that learn one graph."""
