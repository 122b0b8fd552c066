"""What an output must satisfy before it may leave the site."""
