"""The command line."""


def main() -> None:
    """Run the ``penstock`` command."""
