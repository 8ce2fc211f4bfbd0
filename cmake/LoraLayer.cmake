# One function per layer: a static library, its unit tests, and the list of layers it may include.
#
#   lora_add_layer(NAME plan DEPENDS ir SOURCES fuse.cpp ... [LIBS pkg::lib ...]
#                  [TESTS fuse_test.cpp ... [TEST_DEPENDS backend/reference ...]])
#
# NAME may hold a slash for a nested folder (backend/cpu). DEPENDS are layers by the same names; the
# ctest `lint.layering` reads the same lists from layers.txt in the build folder and compares every
# #include. MAY_DEPEND are layers that not every build has. TEST_DEPENDS are further layers that only
# the unit tests include and link.
set_property(GLOBAL PROPERTY LORA_LAYERS "")

if(LORA_PCH AND NOT CMAKE_CROSSCOMPILING)
  # One precompiled header, built once and used by every layer and unit test.
  file(WRITE ${PROJECT_BINARY_DIR}/pch.cpp.in "")
  configure_file(${PROJECT_BINARY_DIR}/pch.cpp.in ${PROJECT_BINARY_DIR}/pch.cpp COPYONLY)
  add_library(lora_pch STATIC ${PROJECT_BINARY_DIR}/pch.cpp)
  target_link_libraries(lora_pch PUBLIC lora::fmt Threads::Threads PRIVATE lora_warnings)
  target_precompile_headers(lora_pch PRIVATE <algorithm> <array> <cmath> <cstdint> <filesystem>
    <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <thread>
    <unordered_map> <utility> <variant> <vector> <fmt/format.h>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(lora_pch PUBLIC -fpch-preprocess)
  endif()
endif()

function(lora_use_pch target)
  if(TARGET lora_pch)
    target_precompile_headers(${target} REUSE_FROM lora_pch)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      target_compile_options(${target} PRIVATE -fpch-preprocess)
    endif()
  endif()
endfunction()

function(lora_add_layer)
  cmake_parse_arguments(L "" "NAME" "DEPENDS;MAY_DEPEND;SOURCES;TESTS;TEST_DEPENDS;LIBS" ${ARGN})
  if(L_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lora_add_layer(${L_NAME}): unknown words ${L_UNPARSED_ARGUMENTS}")
  endif()
  string(REPLACE "/" "_" target "${L_NAME}")
  add_library(lora_${target} STATIC ${L_SOURCES})
  add_library(lora::${target} ALIAS lora_${target})
  target_include_directories(lora_${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(lora_${target} PRIVATE lora_warnings)
  set(all_deps ${L_DEPENDS} ${L_MAY_DEPEND})
  foreach(dep IN LISTS all_deps)
    string(REPLACE "/" "_" dep_target "${dep}")
    if(TARGET lora_${dep_target} OR NOT dep IN_LIST L_MAY_DEPEND)
      target_link_libraries(lora_${target} PUBLIC lora::${dep_target})
    endif()
  endforeach()
  target_link_libraries(lora_${target} PUBLIC ${L_LIBS})
  lora_use_pch(lora_${target})
  string(REPLACE ";" "," deps "${all_deps}")
  string(REPLACE ";" "," test_deps "${L_TEST_DEPENDS}")
  set_property(GLOBAL APPEND PROPERTY LORA_LAYERS "${L_NAME}:${deps}:${test_deps}")
  if(LORA_TESTS AND L_TESTS)
    add_executable(${target}_unit_tests ${L_TESTS})
    target_link_libraries(${target}_unit_tests PRIVATE lora::${target} lora_warnings
      GTest::gtest_main)
    # The work is done in the layers; googletest's macros compile a third faster this way.
    target_compile_options(${target}_unit_tests PRIVATE $<$<CONFIG:Release>:-O1>)
    foreach(dep IN LISTS L_TEST_DEPENDS)
      string(REPLACE "/" "_" dep_target "${dep}")
      target_link_libraries(${target}_unit_tests PRIVATE lora::${dep_target})
    endforeach()
    target_compile_definitions(${target}_unit_tests PRIVATE
      LORA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME unit.${target} COMMAND ${target}_unit_tests)
    # A folder of this build's own: another checkout may run the same tests.
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/test-files)
    set_tests_properties(unit.${target} PROPERTIES LABELS unit
      ENVIRONMENT TEST_TMPDIR=${CMAKE_CURRENT_BINARY_DIR}/test-files/)
  endif()
endfunction()

# Writes `name:dep,dep:test_dep,test_dep` lines for the layering check.
function(lora_write_layers)
  get_property(layers GLOBAL PROPERTY LORA_LAYERS)
  list(JOIN layers "\n" text)
  file(WRITE ${PROJECT_BINARY_DIR}/layers.txt "${text}\n")
endfunction()
