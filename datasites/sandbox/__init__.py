"""What keeps a child process from files, network, other processes and more memory than it was given."""
