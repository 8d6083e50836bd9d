# include/nephrite/version.h in the build tree: version and git revision, renewed at every build, touched only on change.
set(version_header ${CMAKE_CURRENT_BINARY_DIR}/include/nephrite/version.h)
add_custom_target(nephrite_revision
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_CURRENT_SOURCE_DIR} -DHEADER=${version_header}
    -DVERSION=${PROJECT_VERSION} -P ${CMAKE_CURRENT_SOURCE_DIR}/tools/cmake/WriteRevision.cmake
  BYPRODUCTS ${version_header} COMMENT "" VERBATIM)
