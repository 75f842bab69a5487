"""The parts of the module, each in its own small file.

The main flow reads: panel → request (what the user wants) → run (export, worker process, import) → results.
A package, because Slicer takes every ``.py`` file beside the module for a module of its own.
"""
