# Run by CPack over the files of the package: what Debian's policy asks beyond `cmake --install`.
set(root ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr)
set(documents ${root}/share/doc/centipede)
file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${documents})
configure_file(${CMAKE_CURRENT_LIST_DIR}/changelog ${documents}/changelog.Debian COPYONLY)
file(GLOB_RECURSE manual_pages ${root}/share/man/*)
execute_process(COMMAND gzip --best --no-name ${documents}/changelog.Debian ${manual_pages} COMMAND_ERROR_IS_FATAL ANY)
