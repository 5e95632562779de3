"""What a layer is: its settings and weights, one pass through it, and its work on the host."""
