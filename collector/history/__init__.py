"""What is remembered longer than the matrix does, in one file: the last hour of groups, thirty days of incidents."""
