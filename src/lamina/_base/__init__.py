"""What every object of this package stands on: settings, names, shapes, weights, and the user's frames."""
