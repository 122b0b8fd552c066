"""The DP trainer. It runs in the sandboxed child only, the one place with Opacus."""
