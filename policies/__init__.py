"""The rules of Cloister: what may be asked, approved, charged, released and proved. No network, no torch."""
