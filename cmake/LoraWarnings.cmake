# Warnings for our own code; linked privately so that users of a layer do not inherit them.
add_library(lora_warnings INTERFACE)
target_compile_options(lora_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wnon-virtual-dtor)
if(LORA_WERROR)
  target_compile_options(lora_warnings INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 at -O3 warns falsely about std::string operator+.
  target_compile_options(lora_warnings INTERFACE -Wno-restrict)
endif()
