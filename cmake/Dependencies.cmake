# Installed packages only; nothing is downloaded at configure time. List and reasons: docs/dependencies.md.
# Targets for the layers, the same in the Linux and the Windows build:
#   lora::fmt  nlohmann_json::nlohmann_json  Eigen3::Eigen  tomlplusplus::tomlplusplus
#   CLI11::CLI11  lora::stb  Threads::Threads
# and where the machine has them: lora::webp (LORA_HAS_WEBP), lora::onednn (LORA_HAS_ONEDNN),
# OpenMP::OpenMP_CXX (OpenMP_CXX_FOUND). A layer leaves out the file that needs a missing one.
find_package(Threads REQUIRED)

set(LORA_HAS_WEBP OFF)
set(LORA_HAS_ONEDNN OFF)

if(CMAKE_CROSSCOMPILING)
  # Header-only libraries come from the host's include folder, one by one, so that none of its
  # system headers is seen by the cross compiler.
  set(LORA_HEADER_FARM ${PROJECT_BINARY_DIR}/headers)
  file(MAKE_DIRECTORY ${LORA_HEADER_FARM})
  function(lora_header_library target path)
    get_filename_component(name ${path} NAME)
    if(NOT EXISTS ${LORA_HOST_INCLUDE}/${path})
      message(FATAL_ERROR "${LORA_HOST_INCLUDE}/${path} is missing; run ./dev setup")
    endif()
    file(CREATE_LINK ${LORA_HOST_INCLUDE}/${path} ${LORA_HEADER_FARM}/${name} SYMBOLIC)
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    target_include_directories(${target} SYSTEM INTERFACE ${LORA_HEADER_FARM})
  endfunction()
  lora_header_library(lora::fmt fmt)
  lora_header_library(nlohmann_json::nlohmann_json nlohmann)
  lora_header_library(tomlplusplus::tomlplusplus toml++)
  lora_header_library(CLI11::CLI11 CLI)
  lora_header_library(Eigen3::Eigen eigen3)
  target_include_directories(Eigen3::Eigen SYSTEM INTERFACE ${LORA_HEADER_FARM}/eigen3)
  lora_header_library(lora::stb stb)
else()
  find_package(nlohmann_json REQUIRED)
  find_package(Eigen3 REQUIRED NO_MODULE)
  find_package(CLI11 REQUIRED)

  # Headers only: its body is compiled once, in base/fmt_impl.cpp, for Linux and Windows alike.
  find_path(LORA_FMT_INCLUDE fmt/format-inl.h REQUIRED)
  add_library(lora::fmt INTERFACE IMPORTED GLOBAL)
  target_include_directories(lora::fmt SYSTEM INTERFACE ${LORA_FMT_INCLUDE})

  # Not through its package file, which would link the shared library.
  find_path(LORA_TOML_INCLUDE toml++/toml.h REQUIRED)
  add_library(tomlplusplus::tomlplusplus INTERFACE IMPORTED GLOBAL)
  target_include_directories(tomlplusplus::tomlplusplus SYSTEM INTERFACE ${LORA_TOML_INCLUDE})

  find_path(LORA_STB_INCLUDE stb/stb_image.h REQUIRED)
  add_library(lora::stb INTERFACE IMPORTED GLOBAL)
  target_include_directories(lora::stb SYSTEM INTERFACE ${LORA_STB_INCLUDE})

  find_path(LORA_WEBP_INCLUDE webp/decode.h)
  find_library(LORA_WEBP_LIBRARY webp)
  if(LORA_WEBP_INCLUDE AND LORA_WEBP_LIBRARY)
    set(LORA_HAS_WEBP ON)
    add_library(lora::webp INTERFACE IMPORTED GLOBAL)
    target_include_directories(lora::webp SYSTEM INTERFACE ${LORA_WEBP_INCLUDE})
    target_link_libraries(lora::webp INTERFACE ${LORA_WEBP_LIBRARY})
  endif()

  find_path(LORA_ONEDNN_INCLUDE dnnl.hpp)
  find_library(LORA_ONEDNN_LIBRARY dnnl)
  if(LORA_ONEDNN_INCLUDE AND LORA_ONEDNN_LIBRARY)
    set(LORA_HAS_ONEDNN ON)
    add_library(lora::onednn INTERFACE IMPORTED GLOBAL)
    target_include_directories(lora::onednn SYSTEM INTERFACE ${LORA_ONEDNN_INCLUDE})
    target_link_libraries(lora::onednn INTERFACE ${LORA_ONEDNN_LIBRARY})
  endif()
  find_package(OpenMP COMPONENTS CXX)
endif()
message(STATUS "WebP pictures: ${LORA_HAS_WEBP}; oneDNN: ${LORA_HAS_ONEDNN}")
