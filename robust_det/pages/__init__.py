"""HTML pages: one frame, one style and one way to escape, whatever is shown."""
