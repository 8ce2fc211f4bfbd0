# nvcc, from PATH or the toolkit's usual folders, and the function that turns .cu files into objects.
#   LORA_NVCC             the compiler, or LORA_NVCC-NOTFOUND
#   LORA_CUDA_ARCHS       architectures to compile for: 80 means sm_80; 90a has Hopper's own
#                         instructions; the newest of them also goes in as PTX
#   LORA_KERNELS          a folder with kernels that another build of this tree compiled (its
#                         src/backend/cuda), taken instead of compiling: kernels are the same for
#                         Linux and Windows, and take minutes
#   lora_embed_kernels(out_var file.cu ...)  sources that hold the compiled kernels; the target
#                         lora_kernels compiles these alone
find_program(LORA_NVCC nvcc HINTS /usr/local/cuda/bin /opt/cuda/bin /usr/lib/cuda/bin)
set(LORA_CUDA_ARCHS "75;80;86;89;90a;120" CACHE STRING "Architectures of the cuda kernels")
set(LORA_KERNELS "" CACHE PATH "Folder of kernels compiled by another build; empty: compile them")

function(lora_embed_kernels out_var)
  set(arch_flags "")
  set(ptx 0)
  foreach(arch IN LISTS LORA_CUDA_ARCHS)
    list(APPEND arch_flags -gencode arch=compute_${arch},code=sm_${arch})
    if(arch MATCHES "^[0-9]+$" AND arch GREATER ptx)
      set(ptx ${arch})
    endif()
  endforeach()
  if(ptx GREATER 0)
    list(APPEND arch_flags -gencode arch=compute_${ptx},code=compute_${ptx})
  endif()
  set(table "")
  set(images "")
  set(declarations "")
  set(binaries "")
  foreach(source IN LISTS ARGN)
    get_filename_component(stem ${source} NAME_WE)
    if(LORA_KERNELS)
      set(binary ${LORA_KERNELS}/${stem}.fatbin)
    else()
      set(binary ${CMAKE_CURRENT_BINARY_DIR}/${stem}.fatbin)
      add_custom_command(OUTPUT ${binary}
        COMMAND ${LORA_NVCC} -std=c++20 -O3 -fatbin ${arch_flags}
          -Xfatbin -compress-all --expt-relaxed-constexpr -diag-suppress 20012
          -I ${PROJECT_SOURCE_DIR}/src -MD -MF ${binary}.d -MT ${binary} -o ${binary}
          ${CMAKE_CURRENT_SOURCE_DIR}/${source}
        DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${source}
        DEPFILE ${binary}.d
        COMMENT "Compiling kernels ${source}" VERBATIM)
    endif()
    list(APPEND binaries ${binary})
    string(APPEND images
      "asm(LORA_SECTION \"\\n.balign 64\\nlora_kernels_${stem}:\\n.incbin \\\"${binary}\\\"\\nlora_kernels_${stem}_end:\\n.byte 0\\n.text\\n\");\n")
    string(APPEND declarations "extern \"C\" const unsigned char lora_kernels_${stem}[];\n"
      "extern \"C\" const unsigned char lora_kernels_${stem}_end[];\n")
    string(APPEND table "        {\"${stem}\", lora_kernels_${stem},\n"
      "         static_cast<size_t>(lora_kernels_${stem}_end - lora_kernels_${stem})},\n")
  endforeach()
  if(NOT LORA_KERNELS)
    add_custom_target(lora_kernels DEPENDS ${binaries})
  endif()
  set(LORA_KERNEL_IMAGES "${images}")
  set(LORA_KERNEL_DECLARATIONS "${declarations}")
  set(LORA_KERNEL_TABLE "${table}")
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/embedded_kernels.cpp)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/embedded_kernels.cpp.in ${generated} @ONLY)
  set_source_files_properties(${generated} PROPERTIES OBJECT_DEPENDS "${binaries}"
    SKIP_PRECOMPILE_HEADERS ON)
  set(${out_var} ${generated} PARENT_SCOPE)
endfunction()
