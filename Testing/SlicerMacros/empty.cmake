# Slicer defines targets and variables here, none of which a scripted module needs.
