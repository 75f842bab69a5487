"""A result as a derived DICOM series: new images of the same patient and study, that say what they are made from."""

from __future__ import annotations

import datetime
import math
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from .. import __version__
from ..errors import InputError
from .dicom import Series, find_series, series_of
from .dicom_header import text
from .grid import check_orthogonal
from .mark import INTERPOLATIONS, mark_of
from .stack import RAS_FROM_LPS
from .volume import Volume

MANUFACTURER = "INR Super-Resolution"
LONGEST_DESCRIPTION = 64
# results are written as single frames
CLASSIC = {
    "Enhanced MR Image Storage": "1.2.840.10008.5.1.4.1.1.4",
    "Legacy Converted Enhanced MR Image Storage": "1.2.840.10008.5.1.4.1.1.4",
    "Enhanced CT Image Storage": "1.2.840.10008.5.1.4.1.1.2",
    "Legacy Converted Enhanced CT Image Storage": "1.2.840.10008.5.1.4.1.1.2",
    "Enhanced PET Image Storage": "1.2.840.10008.5.1.4.1.1.128",
    "Legacy Converted Enhanced PET Image Storage": "1.2.840.10008.5.1.4.1.1.128",
}
# of the source's header: who and what was scanned, and how; not what belongs to its pixels or to a single slice
KEPT = (
    "SpecificCharacterSet", "TimezoneOffsetFromUTC",
    "PatientName", "PatientID", "IssuerOfPatientID", "OtherPatientIDsSequence", "PatientBirthDate", "PatientSex", "PatientAge",
    "PatientSize", "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "PatientComments", "EthnicGroup", "AdditionalPatientHistory", "PregnancyStatus",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription", "ReferringPhysicianName",
    "ProcedureCodeSequence", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID",
    "FrameOfReferenceUID", "PositionReferenceIndicator", "Modality", "BodyPartExamined", "PatientPosition", "Laterality",
    "ProtocolName", "AcquisitionDate", "AcquisitionTime", "Manufacturer", "ManufacturerModelName", "InstitutionName",
    "StationName", "DeviceSerialNumber", "SoftwareVersions",
    "ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType", "SequenceName", "EchoTime", "RepetitionTime",
    "InversionTime", "EchoTrainLength", "EchoNumbers", "FlipAngle", "MagneticFieldStrength", "ImagingFrequency", "ImagedNucleus",
    "NumberOfAverages", "PixelBandwidth", "ContrastBolusAgent",
    "KVP", "ConvolutionKernel", "XRayTubeCurrent", "ReconstructionDiameter",
    "Units", "CountsSource", "DecayCorrection", "SeriesType", "CorrectedImage", "RadiopharmaceuticalInformationSequence",
    "BurnedInAnnotation", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "RescaleType", "WindowCenter", "WindowWidth", "PresentationLUTShape",
)  # fmt: skip


def write_derived(volume: Volume, folder: Path, source: str | Path | list[Path], method: str, whole: bool) -> None:
    """Write the slices of axis k as single-frame files into a new folder.

    Parameters
    ----------
    volume
        With axes at right angles.
    source
        The DICOM folder or file that it is made from, or the files of that series.
    method
        What made it; a few words.
    whole
        Whether values are rounded to whole numbers of 16 bits (as CT numbers are); else they are scaled to 16 bits.

    Raises
    ------
    InputError
        If the axes are not at right angles, or the source is no DICOM series (any more).
    OSError
        If a file cannot be written.
    """
    check_orthogonal(volume.affine, volume.name)
    series = series_of(source) if isinstance(source, list) else find_series(Path(source))
    common = _common(series, method, volume)
    stored, slope, intercept = _stored(volume.data, whole)
    common.PixelRepresentation = int(stored.dtype.kind == "i")
    common.RescaleSlope, common.RescaleIntercept = _ds(slope), _ds(intercept)
    common.Columns, common.Rows = stored.shape[:2]
    lps = RAS_FROM_LPS @ volume.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    common.ImageOrientationPatient = [_ds(v) for axis in (0, 1) for v in lps[:3, axis] / spacing[axis]]
    common.PixelSpacing = [_ds(spacing[1]), _ds(spacing[0])]
    common.SliceThickness = common.SpacingBetweenSlices = _ds(spacing[2])
    digits = len(str(stored.shape[2]))
    folder.mkdir()
    for k in range(stored.shape[2]):
        image = Dataset()
        image.update(common)
        image.SOPInstanceUID = generate_uid()
        image.InstanceNumber = k + 1
        image.ImagePositionPatient = [_ds(v) for v in lps[:3, 3] + k * lps[:3, 2]]
        image.PixelData = np.ascontiguousarray(stored[:, :, k].T).tobytes()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.save_as(folder / f"{k + 1:0{digits}}.dcm", enforce_file_format=True)


def is_derived_here(folder: Path) -> bool:
    """Whether a folder holds nothing but a series that was written here, so that a new one may replace it."""
    files = list(folder.iterdir())
    if not files:
        return True
    if any(f.suffix != ".dcm" or f.is_dir() for f in files):
        return False
    try:
        header = find_series(folder).headers[0]
    except InputError:
        return False
    equipment = header.get("ContributingEquipmentSequence") or []
    return any(text(e, "Manufacturer") == MANUFACTURER for e in equipment)


def _ds(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return format_number_as_ds(float(value))


def _stored(data: np.ndarray, whole: bool) -> tuple[np.ndarray, float, float]:
    """Values of 16 bits, and slope and intercept that turn them back."""
    low, high = float(data.min()), float(data.max())
    for kind in (np.int16, np.uint16):
        limits = np.iinfo(kind)
        if whole and limits.min <= round(low) and round(high) <= limits.max:
            return np.rint(data).astype(kind), 1.0, 0.0
    slope = float(_ds((high - low) / 65535)) or 1.0
    if not math.isfinite(slope):
        raise InputError(f"values from {low:g} to {high:g} cannot be written as DICOM", "Write NIfTI")
    return np.clip(np.rint((data.astype(np.float64) - low) / slope), 0, 65535).astype(np.uint16), slope, float(_ds(low))


def _code(code: Code) -> Items:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return Items([made])


def _common(series: Series, method: str, volume: Volume) -> Dataset:
    """What all images of the series share, but for their grid."""
    source = series.headers[len(series.headers) // 2]
    made = Dataset()
    for keyword in KEPT:
        if keyword in source:
            made[keyword] = source[keyword]
    kind = UID(text(source, "SOPClassUID"))
    made.SOPClassUID = CLASSIC.get(kind.name, kind)
    now = datetime.datetime.now()
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.InstanceCreationDate = made.SeriesDate = made.ContentDate = date
    made.InstanceCreationTime = made.SeriesTime = made.ContentTime = time
    made.SeriesInstanceUID = generate_uid()
    number = text(source, "SeriesNumber")
    made.SeriesNumber = min(int(number) + 1000, 2**31 - 1) if number.lstrip("-").isdecimal() else 1000
    own = text(source, "SeriesDescription")
    told = f"{method} {'interpolation' if method in INTERPOLATIONS else 'AI-generated'}, research use"
    made.SeriesDescription = f"{own[: LONGEST_DESCRIPTION - len(told) - 2]}, {told}"[-LONGEST_DESCRIPTION:].lstrip(", ")
    kinds = [v for v in text(source, "ImageType").split("\\")[2:] if v and v != "MOSAIC"]
    made.ImageType = ["DERIVED", "SECONDARY", *(kinds or (["AXIAL"] if kind.name.endswith("CT Image Storage") else []))]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, text(source, "PhotometricInterpretation") or "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit = 15
    spacing = " x ".join(f"{s:.4g}" for s in volume.spacing)
    made.DerivationDescription = (
        f"{volume.mark or mark_of(method)}, sampled at {spacing} mm. "
        "Voxels between the acquired slices are estimated. For research use only, not for diagnosis."
    )
    made.DerivationCodeSequence = _code(codes.DCM.SpatialResampling)
    made.SourceImageSequence = Items(_reference(header) for header in series.headers)
    made.ContributingEquipmentSequence = Items(
        [*(source.get("ContributingEquipmentSequence") or []), _equipment(method, now)]
    )
    # type 2: to be there, be it empty
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
                    "ReferringPhysicianName", "StudyID", "Manufacturer", "PositionReferenceIndicator", "AcquisitionNumber"):  # fmt: skip
        if keyword not in made:
            setattr(made, keyword, None)
    return made


def _reference(header: Dataset) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = text(header, "SOPClassUID")
    made.ReferencedSOPInstanceUID = text(header, "SOPInstanceUID")
    made.PurposeOfReferenceCodeSequence = _code(codes.DCM.SourceImageForImageProcessingOperation)
    return made


def _equipment(method: str, now: datetime.datetime) -> Dataset:
    made = Dataset()
    made.PurposeOfReferenceCodeSequence = _code(codes.DCM.ModifyingEquipment)
    made.Manufacturer, made.ManufacturerModelName, made.SoftwareVersions = MANUFACTURER, "inrsr", __version__
    made.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    made.ContributionDescription = mark_of(method)
    return made
