"""What people touch: the command, the pages, the demo."""
