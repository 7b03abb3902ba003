"""Systems that turn images of one kind into images of another."""
