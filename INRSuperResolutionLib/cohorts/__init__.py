"""Many patients: a manifest, a coordinator that goes on where it was stopped, and a summary."""
