"""Pictures: boxes and arrows as plain data, laid out in layers, written as Mermaid, SVG or text."""
