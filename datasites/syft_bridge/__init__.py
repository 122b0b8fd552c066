"""The bridge to PySyft: the owner sees our data sets and requests in PySyft's own views; nothing is read back."""
