// stb_image's functions, compiled once. Not ours: stb is in the public domain (libstb-dev).
#include "io/internal/stb_image.h"

// clang-format off
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop
// clang-format on
