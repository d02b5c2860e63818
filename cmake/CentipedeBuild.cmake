# Warnings, sanitizers and the helpers that every folder's CMakeLists.txt uses.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(centipede_flags INTERFACE)
# Members left out of a designated initializer have defaults in their class, so that warning says nothing here.
target_compile_options(centipede_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Werror -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees an overlap in every std::string concatenation (its bug 105651).
  target_compile_options(centipede_flags INTERFACE -Wno-restrict)
  if(CMAKE_UNITY_BUILD)
    # To GCC a source that a unity source includes is a header, where unnamed namespaces in members would be a mistake.
    target_compile_options(centipede_flags INTERFACE -Wno-subobject-linkage)
  endif()
else()
  # Clang's -Wconversion would include this, GCC's does not.
  target_compile_options(centipede_flags INTERFACE -Wno-sign-conversion -Wno-missing-designated-field-initializers)
endif()
if(CMAKE_UNITY_BUILD)
  # Sources that are compiled as one see each other's names; each by itself is held to -Wshadow in the other builds.
  target_compile_options(centipede_flags INTERFACE -Wno-shadow)
endif()
target_include_directories(centipede_flags INTERFACE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/userspace)
target_link_libraries(centipede_flags INTERFACE Threads::Threads)
if(CENTIPEDE_SANITIZE)
  target_compile_options(centipede_flags INTERFACE -fsanitize=${CENTIPEDE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(centipede_flags INTERFACE -fsanitize=${CENTIPEDE_SANITIZE})
  if(CENTIPEDE_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC warns that it does not instrument atomic_thread_fence; none is used.
    target_compile_options(centipede_flags INTERFACE -Wno-tsan)
  endif()
endif()

# centipede_layer(NAME SOURCES ... DEPENDS ...): one static library a folder; DEPENDS name lower layers or libraries.
function(centipede_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(centipede_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(centipede_${name} PUBLIC centipede_flags ${ARG_DEPENDS})
endfunction()

# centipede_unhurried(LAYER): what waits for people and their programs is not worth the compiler's time in builds with
# sanitizers, which are made to run the tests once.
function(centipede_unhurried layer)
  if(CENTIPEDE_SANITIZE)
    target_compile_options(centipede_${layer} PRIVATE -O0)
  endif()
endfunction()

# pkg_target(NAME MODULE): an imported target PkgConfig::NAME for a pkg-config module.
macro(pkg_target name module)
  if(NOT TARGET PkgConfig::${name})
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  endif()
endmacro()

# centipede_embed(LAYER HEADER FILE...): the layer's sources may include "<layer>/HEADER", which holds the text of each file
# as a std::string_view: dashboard/page.html is centipede::<layer>::dashboard_page_html.
function(centipede_embed layer header)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  set(text "// Generated from the files of these names.\n#pragma once\n\n#include <string_view>\n\n")
  string(APPEND text "namespace centipede::${layer} {\n\n")
  foreach(file ${ARGN})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} content)
    string(MAKE_C_IDENTIFIER ${file} name)
    string(APPEND text "inline constexpr std::string_view ${name} = R\"embedded(${content})embedded\";\n")
  endforeach()
  string(APPEND text "\n}  // namespace centipede::${layer}\n")
  file(CONFIGURE OUTPUT ${generated}/${layer}/${header} CONTENT "${text}" @ONLY)
  target_include_directories(centipede_${layer} PRIVATE ${generated})
endfunction()
