// Where the time of an executable goes: median per operator over several runs, by family, beside
// the time of the same products alone.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "backend/backend.h"
#include "bench.h"

namespace lora::bench {

struct Profile {
    double ms = 0;                // median of whole runs
    double floor_ms = 0;          // 0 without a floor
    std::vector<double> node_ms;  // by node index
    std::map<std::string, double> families;
    std::map<std::string, double> floors;  // conv, linear, attention
    std::map<std::string, double> rates;   // the floor's GFLOP/s
};

// Runs `run` (which runs the executable once) options.repeats times after one warm-up; without
// floor.
[[nodiscard]] Profile profile(const Options& options,
                              backend::Executable& executable,
                              const std::function<void()>& run);
// The same with the products' floor, timed now.
[[nodiscard]] Profile with_floor(Profile profile, const backend::Executable& executable);
void print_nodes(const backend::Executable& executable, const Profile& profile);

}  // namespace lora::bench
