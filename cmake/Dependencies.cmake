# Installed packages only; nothing is downloaded at configure time. List and reasons: docs/dependencies.md.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)

# fmt in header-only mode: the same text for the Linux and the Windows build.
find_package(fmt REQUIRED)
