"""What happens between a model's verbs and the device: data fed, programs compiled, steps run, numbers logged."""
