"""What happens to a job in the sandbox: its dry run on mock data, its one run, and the inspection of its outputs."""
