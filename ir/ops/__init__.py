"""The ops, by theme: each is a type rule and a meaning."""
