"""The privacy budget: Rényi accounting, the filter that admits requests, and the ledger that holds what was spent."""
