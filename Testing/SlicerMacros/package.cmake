# As Slicer's: what is installed becomes an archive that is called by platform and extension.
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
endforeach()
set(CPACK_GENERATOR "TGZ")
set(CPACK_PACKAGE_FILE_NAME "standin-any-${PROJECT_NAME}")
include(CPack)
