"""What the page costs while many use it: memory, load, cost of an answer, a photo's way."""
