"""Two thick-slice scans of one brain in Slicer's module Sample Data; they come with the extension, so no internet is needed."""

from pathlib import Path

from slicer.i18n import tr as _

RESOURCES = Path(__file__).resolve().parents[2] / "Resources"
CATEGORY = "INRSuperResolution"
# file and SHA-256; made by Testing/make_sample_data.py
FILES = {
    "BrainT1_sagittal4mm.nrrd": "7f24e311ddfb753bb1618e01bf36dc96b55caaeba721be99fec9a868ed2caa3e",
    "BrainFLAIR_axial4mm.nrrd": "0b7e63326b25ef268e4ea149919555d68fc32d3d36d4b58b81a839c73244e2db",
}


def registerSampleData() -> None:
    """Add the scans to the module Sample Data, once Slicer has started."""
    import SampleData  # a module of Slicer, which is there only then

    register = SampleData.SampleDataLogic
    category = _("Thick-Slice Super-Resolution")
    if hasattr(register, "registerCustomSampleDataCategory"):  # newer than Slicer 5.10
        register.registerCustomSampleDataCategory(CATEGORY, category)
        category = CATEGORY
    register.registerCustomSampleDataSource(
        category=category,
        sampleName=_("Brain MR with thick slices (T1, FLAIR)"),
        thumbnailFileName=str(RESOURCES / "Icons" / "SampleBrain.png"),
        uris=[(RESOURCES / "SampleData" / name).as_uri() for name in FILES],
        fileNames=list(FILES),
        nodeNames=[_("Brain T1 sagittal"), _("Brain FLAIR axial")],
        checksums=[f"SHA256:{digest}" for digest in FILES.values()],
    )
