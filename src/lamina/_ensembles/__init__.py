"""Many runs of one stack as one program: ensembles and cross-validation."""
