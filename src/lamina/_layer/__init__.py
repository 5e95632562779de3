"""The base class of layers: settings and weights, one pass through a layer, and work on the host."""
