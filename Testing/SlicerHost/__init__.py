"""A stand-in for the Slicer application, so that the module runs unchanged where there is no Slicer.

Real are: the MRML scene and nodes, the module logics, slice logic with its reslicing and `slicer.util` (all from the
wheel ``slicer-core``), and every plain Qt widget (PySide6). Stood in for is only what has no wheel:

===================  ==================================================================================
file                 stands in for
===================  ==================================================================================
``qtnames``          the names `qt` and `ctk`, in PythonQt's manner: properties are attributes, and
                     signals connect by text
``strict``           what PythonQt refuses: members that it does not wrap, keyword arguments, signals that
                     are not there. `members.json` comes from the real headers
``mainloop``         Slicer's main loop, which holds Python's lock between callbacks
``mrmlwidgets``      the few qMRML widgets that the panel uses, and the slice views of `layoutManager()`
``scripted``         ScriptedLoadableModule, parameterNodeWrapper, i18n
``packages``         `slicer.packaging` and the extension PyTorch
``application``      `slicer.app`, `slicer.modules`, the scene with its logics
===================  ==================================================================================

It is no proof that the module works in Slicer: PythonQt differs in more than names. The script
``Testing/run_in_slicer.sh`` runs the same self test in a real Slicer where there is one.
"""

from .application import Host, start

__all__ = ["Host", "start"]
