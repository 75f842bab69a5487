"""The parts of the module, each in its own small file.

The main flow reads: ``panel`` (what the user wants) → a request of ``scene.inputs`` → ``runs.run`` (export, worker
process, import) → ``scene.results``; ``zoom`` stands beside it. A folder imports only from those that are named
before it: ``library``, ``scene``, ``runs``, ``zoom``, ``panel``.

A package, because Slicer takes every ``.py`` file beside the module for a module of its own.
"""
