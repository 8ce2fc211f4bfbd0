// The list of backends that this program was built with; app/main.cpp and the tools fill it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"

namespace lora::backend {

struct BackendOptions {
    int num_threads = 0;           // 0: all the machine has
    bool autotune = true;          // measure kernels on first use, where there is a choice
    std::string tuning_file = {};  // what measuring found, kept between runs; empty: nowhere
};

struct BackendEntry {
    std::string name;  // what --backend takes
    // Empty when it can run here, otherwise why not.
    std::function<std::string()> unavailable_reason;
    std::function<std::unique_ptr<Backend>(const BackendOptions&)> open;
    int priority = 0;  // the default is the available one with the highest
};

class Registry {
public:
    void add(BackendEntry entry);
    [[nodiscard]] const std::vector<BackendEntry>& entries() const { return entries_; }
    // `name` empty: the best one that is available here.
    // Errors  kConfig for an unknown name, kDevice when it cannot run here (with the reason).
    [[nodiscard]] std::unique_ptr<Backend> open(std::string_view name,
                                                const BackendOptions& options = {}) const;

private:
    std::vector<BackendEntry> entries_;
};

}  // namespace lora::backend
