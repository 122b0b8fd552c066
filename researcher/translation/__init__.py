"""From what torch.export writes to tensor programs; only on the researcher's machine."""
