"""What the models of the zoo can do, on text no training run has seen."""
