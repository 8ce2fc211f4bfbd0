# LORA_SANITIZE=address|thread|coverage and LORA_FUZZ, applied to every target of the build.
# address stands for address and undefined behaviour together; a finding ends the program.
if(LORA_SANITIZE STREQUAL "address" OR LORA_FUZZ)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=address,undefined)
elseif(LORA_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=thread)
elseif(LORA_SANITIZE STREQUAL "coverage")
  add_compile_options(--coverage -g1)
  add_link_options(--coverage)
elseif(LORA_SANITIZE)
  message(FATAL_ERROR "LORA_SANITIZE is address, thread, coverage or empty, not ${LORA_SANITIZE}")
endif()

if(LORA_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "LORA_FUZZ needs clang (preset fuzz)")
  endif()
  # Coverage feedback in the layers; the driver itself is linked by lora_add_fuzz_target.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
