"""The data owner's side: it keeps private data at home and lets only approved, charged, summed results out."""
