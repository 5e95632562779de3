"""Training, evaluation and prediction: feeds data, compiles programs, runs steps and collects logs."""
