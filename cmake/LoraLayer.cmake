# One function per layer: a static library, its unit tests, and the list of layers it may include.
#
#   lora_add_layer(NAME plan DEPENDS ir SOURCES fuse.cpp ... [TESTS fuse_test.cpp ...] [LIBS pkg::lib ...])
#
# NAME may hold a slash for a nested folder (backend/cpu). DEPENDS are layers by the same names; the
# ctest `layering` reads the same lists from layers.txt in the build folder and compares every #include.
set_property(GLOBAL PROPERTY LORA_LAYERS "")

function(lora_add_layer)
  cmake_parse_arguments(L "" "NAME" "DEPENDS;SOURCES;TESTS;LIBS" ${ARGN})
  string(REPLACE "/" "_" target "${L_NAME}")
  add_library(lora_${target} STATIC ${L_SOURCES})
  add_library(lora::${target} ALIAS lora_${target})
  target_include_directories(lora_${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(lora_${target} PRIVATE lora_warnings)
  foreach(dep IN LISTS L_DEPENDS)
    string(REPLACE "/" "_" dep_target "${dep}")
    target_link_libraries(lora_${target} PUBLIC lora::${dep_target})
  endforeach()
  target_link_libraries(lora_${target} PUBLIC ${L_LIBS})
  string(REPLACE ";" "," deps "${L_DEPENDS}")
  set_property(GLOBAL APPEND PROPERTY LORA_LAYERS "${L_NAME}:${deps}")
  if(LORA_TESTS AND L_TESTS)
    add_executable(${target}_unit_tests ${L_TESTS})
    target_link_libraries(${target}_unit_tests PRIVATE lora::${target} lora_warnings GTest::gtest_main)
    target_compile_definitions(${target}_unit_tests PRIVATE LORA_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_test(NAME unit.${target} COMMAND ${target}_unit_tests)
    set_tests_properties(unit.${target} PROPERTIES LABELS unit)
  endif()
endfunction()

# Writes `name:dep,dep` lines for the layering check.
function(lora_write_layers)
  get_property(layers GLOBAL PROPERTY LORA_LAYERS)
  list(JOIN layers "\n" text)
  file(WRITE ${PROJECT_BINARY_DIR}/layers.txt "${text}\n")
endfunction()
