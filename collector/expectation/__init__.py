"""What should hold: declared by people, or derived from the policies in force."""
