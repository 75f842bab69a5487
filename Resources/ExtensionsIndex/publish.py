"""The one place that knows where the project lies on the web; writes the addresses into the files that need them.

    python Resources/ExtensionsIndex/publish.py            # say what is outdated; exit code 1 if anything is
    python Resources/ExtensionsIndex/publish.py --write

Slicer's Extensions Index reads addresses as text from the top CMakeLists.txt, where a variable would not be
resolved, and from the entry INRSuperResolution.json: so they are written there, not computed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# THE PROJECT HAS NO PUBLIC ADDRESS YET. The underscores make this a name that GitHub gives to nobody: put the owner of the
# repository here, and run this file with --write.
OWNER = "_OWNER_"
REPOSITORY = "SlicerINRSuperResolution"
BRANCH = "main"

ROOT = Path(__file__).resolve().parents[2]
ICON = "INRSuperResolution/Resources/Icons/INRSuperResolution.png"
SCREENSHOTS = ("Documentation/pictures/tutorial-4-compared-light.png", "Resources/Screenshots/clinical-coronal.png")
HOME = f"https://github.com/{OWNER}/{REPOSITORY}"
RAW = f"https://raw.githubusercontent.com/{OWNER}/{REPOSITORY}/{BRANCH}"
CMAKE = {
    "EXTENSION_HOMEPAGE": f"{HOME}#readme",
    "EXTENSION_ICONURL": f"{RAW}/{ICON}",
    "EXTENSION_SCREENSHOTURLS": " ".join(f"{RAW}/{path}" for path in SCREENSHOTS),
}
ENTRY = {"scm_revision": BRANCH, "scm_url": f"{HOME}.git"}


def wanted() -> dict[Path, str]:
    """What the files are to hold."""
    cmake, entry = ROOT / "CMakeLists.txt", Path(__file__).with_name("INRSuperResolution.json")
    texts = {path: path.read_text("utf-8") for path in (cmake, entry)}
    for name, value in CMAKE.items():
        texts[cmake] = re.sub(rf'set\({name} "[^"]*"\)', f'set({name} "{value}")', texts[cmake])
    for name, value in ENTRY.items():
        texts[entry] = re.sub(rf'"{name}": "[^"]*"', f'"{name}": "{value}"', texts[entry])
    return texts


def main(arguments: list[str]) -> int:
    """Compare, or write."""
    outdated = {path: text for path, text in wanted().items() if path.read_text("utf-8") != text}
    for path, text in outdated.items():
        if "--write" in arguments:
            path.write_text(text, "utf-8")
        print(f"{path.relative_to(ROOT)} {'written' if '--write' in arguments else 'is outdated'}")
    return int(bool(outdated) and "--write" not in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
