"""Training ahead: ``inrsr train``. Nothing here is needed to use weights."""
