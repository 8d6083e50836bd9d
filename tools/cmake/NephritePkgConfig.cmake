# nephrite.pc, with the libraries that were found: nephrite is a static library, so whoever links it needs them all.
set(pkgconfig_cflags ${HDF5_C_INCLUDE_DIRS} ${MPI_C_INCLUDE_DIRS})
list(REMOVE_DUPLICATES pkgconfig_cflags)
list(TRANSFORM pkgconfig_cflags PREPEND "-I")
list(JOIN pkgconfig_cflags " " pkgconfig_cflags)
set(pkgconfig_libs ${HDF5_C_LIBRARIES} ${FFTW3_MPI_LIBRARY} ${GSL_LIBRARY} ${LAPACK_LIBRARIES} ${BLAS_LIBRARIES}
  ${XXHASH_LIBRARY} ${NEPHRITE_ONEDNN_LIBRARIES} ${MPI_C_LIBRARIES} ${OpenMP_C_FLAGS} -ldl -lm)
list(REMOVE_DUPLICATES pkgconfig_libs)
# The runtime of an instrumented library is linked with the program.
if(NEPHRITE_SANITIZE)
  list(APPEND pkgconfig_libs -fsanitize=${NEPHRITE_SANITIZE})
endif()
if(NEPHRITE_COVERAGE)
  list(APPEND pkgconfig_libs --coverage)
endif()
list(JOIN pkgconfig_libs " " pkgconfig_libs)
# Found from where the file is, so that an installed tree can be moved.
file(RELATIVE_PATH pkgconfig_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/nephrite.pc.in ${CMAKE_CURRENT_BINARY_DIR}/nephrite.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/nephrite.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
