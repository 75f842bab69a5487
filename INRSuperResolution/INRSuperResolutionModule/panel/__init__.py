"""The panel: widgets ↔ parameter node, and what a run tells → widgets."""
