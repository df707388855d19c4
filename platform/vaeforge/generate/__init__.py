"""Generated images of chosen classes, as files."""
