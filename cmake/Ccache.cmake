# Compiles through ccache where it is installed. The sloppiness is what ccache asks for before it
# accepts precompiled headers; no file of ours uses __DATE__ or __TIME__. With the base folder,
# paths count from the build folder, so that two checkouts share what they compile, and the places
# that errors name (base/source_location.h) are ../src/... in every checkout. Without ccache the
# compiler is told so: programs built in different folders are the same bytes either way.
find_program(CCACHE ccache)
if(NOT CCACHE OR DEFINED ENV{CCACHE_DISABLE})
  add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}=..
    -fmacro-prefix-map=${CMAKE_BINARY_DIR}/=)
endif()
# The cross build sees system headers through links in its build folder (Dependencies.cmake), whose
# own paths g++ would name where they are the shorter ones, that is without ccache only.
if(CMAKE_CROSSCOMPILING AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-canonical-system-headers>)
endif()
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()
