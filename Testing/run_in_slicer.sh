#!/usr/bin/env bash
# Runs the module's self test in a real Slicer: SLICER=/path/to/Slicer Testing/run_in_slicer.sh
set -euo pipefail
cd "$(dirname "$0")/.."
: "${SLICER:?set SLICER to the Slicer executable}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
code=0
"$SLICER" --testing --no-splash --no-main-window --additional-module-paths "$PWD/INRSuperResolution" \
  --python-code "import slicer, unittest; from INRSuperResolution import INRSuperResolutionTest as T; r = unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T)); slicer.util.exit(0 if r.wasSuccessful() else 1)" \
  2>&1 | tee "$log" || code=$?
# Slicer ends with 0 also when it has run nothing, so only the marker counts
grep -q "INRSuperResolution: self test passed" "$log" && exit "$code"
echo "the self test did not pass" >&2
exit 1
