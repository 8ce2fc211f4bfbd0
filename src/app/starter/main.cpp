// What stands as `lora` in the archive for Linux: starts lib/lora, the program itself, with this
// machine's C library where that is new enough, else with the one that came along in lib/glibc.
// Linked statically and using none of our layers, so that it runs whatever the machine has.
// Variable  LORA_GLIBC=own takes the one that came along in any case.
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <climits>

#define LORA_TEXT_OF(x) #x
#define LORA_TEXT(x) LORA_TEXT_OF(x)

namespace {

// A C library defines the names of all versions that it can stand in for; programs and libraries
// built here ask for this one at most.
constexpr char kVersionName[] = "\0GLIBC_" LORA_TEXT(__GLIBC__) "." LORA_TEXT(__GLIBC_MINOR__);
constexpr std::string_view kNeeded{kVersionName, sizeof kVersionName};  // with a zero at both ends
constexpr const char* kLoader = "/lib64/ld-linux-x86-64.so.2";
constexpr const char* kFolders[] = {"/lib/x86_64-linux-gnu",
                                    "/usr/lib/x86_64-linux-gnu",
                                    "/lib64",
                                    "/usr/lib64",
                                    "/lib",
                                    "/usr/lib"};
constexpr int kFailed = 5;  // input/output, as the program itself says it

[[noreturn]] void fail(const std::string& what, const char* hint) {
    static_cast<void>(std::fprintf(stderr, "error: %s\nhint: %s\n", what.c_str(), hint));
    std::exit(kFailed);
}

// The folder of this file.
std::string own_folder() {
    char path[PATH_MAX] = {};
    if (::readlink("/proc/self/exe", path, sizeof path - 1) <= 0) {
        // No /proc: what the kernel was asked to run.
        const auto* name = std::bit_cast<const char*>(::getauxval(AT_EXECFN));
        if (name == nullptr || ::realpath(name, path) == nullptr) {
            fail("cannot find the folder that this program lies in", "mount /proc");
        }
    }
    const std::string text(path);
    return text.substr(0, text.rfind('/'));
}

bool file_contains(const std::string& path, std::string_view bytes, bool& exists) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    struct stat info {};
    bool found = false;
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
        exists = true;
        const auto size = static_cast<size_t>(info.st_size);
        void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data != MAP_FAILED) {
            found = ::memmem(data, size, bytes.data(), bytes.size()) != nullptr;
            ::munmap(data, size);
        }
    }
    ::close(fd);
    return found;
}

bool system_is_new_enough() {
    if (::access(kLoader, X_OK) != 0) return false;
    for (const char* folder : kFolders) {
        bool exists = false;
        const bool found = file_contains(std::string(folder) + "/libc.so.6", kNeeded, exists);
        if (exists) return found;
    }
    return false;
}

bool wants_own() {
    const char* choice = std::getenv("LORA_GLIBC");
    return choice != nullptr && std::strcmp(choice, "own") == 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string lib = own_folder() + "/lib";
    const std::string program = lib + "/lora";
    // The program would start itself again to have this (backend/cpu/threads.cpp).
    ::setenv("OMP_WAIT_POLICY", "passive", 0);
    std::string first = program;
    std::vector<std::string> words;
    if (wants_own() || !system_is_new_enough()) {
        first = lib + "/glibc/ld-linux-x86-64.so.2";
        if (::access(first.c_str(), X_OK) != 0) {
            fail("this system's C library is older than glibc " LORA_TEXT(__GLIBC__) "." LORA_TEXT(
                     __GLIBC_MINOR__) ", and " +
                     first + " is missing",
                 "unpack the whole archive, or use a newer Linux");
        }
        std::string libraries = lib + "/glibc";
        if (libraries.find_first_of(":;") != std::string::npos) {
            fail("this system's C library is too old to run from " + lib,
                 "move the folder to a path without ':' and ';'");
        }
        // Where drivers of cards lie on some machines.
        const char* more = std::getenv("LD_LIBRARY_PATH");
        if (more != nullptr && *more != '\0') libraries += std::string(":") + more;
        ::setenv("GCONV_PATH", (lib + "/glibc/gconv").c_str(), 1);
        words = {first, "--library-path", libraries, "--argv0", argc > 0 ? argv[0] : "lora"};
    }
    words.push_back(program);
    std::vector<char*> list;
    list.reserve(words.size() + static_cast<size_t>(argc));
    for (std::string& word : words) list.push_back(word.data());
    for (int i = 1; i < argc; ++i) list.push_back(argv[i]);
    list.push_back(nullptr);
    ::execv(first.c_str(), list.data());
    fail("cannot start " + first + ": " + std::strerror(errno), "unpack the whole archive again");
}
