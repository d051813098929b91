"""What is true of every cell, and the few causes that explain what is wrong."""
