"""Halts: an approval taken back, or the whole site stopped for a while; and the gates that everything else asks."""
