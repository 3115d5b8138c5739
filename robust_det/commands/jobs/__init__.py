"""The sub-commands that do the project's work, from images to a comparison."""
