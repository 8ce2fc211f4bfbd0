# Flags of our own code, linked privately so that users of a layer do not inherit them.
add_library(lora_warnings INTERFACE)
target_compile_options(lora_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor)
if(LORA_WERROR)
  target_compile_options(lora_warnings INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 at -O3 warns falsely about std::string operator+ and about loops it has unrolled.
  target_compile_options(lora_warnings INTERFACE -Wno-restrict -Wno-stringop-overflow
    -Wno-array-bounds)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # clang counts int -> size_t in subscripts among -Wconversion's; g++, which decides here, does not.
  target_compile_options(lora_warnings INTERFACE -Wno-sign-conversion)
endif()
if(LORA_NATIVE)
  target_compile_options(lora_warnings INTERFACE -march=native)
endif()
