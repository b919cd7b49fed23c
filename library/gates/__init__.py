"""Gates: what decides, token by token, how the next ones are decoded."""
