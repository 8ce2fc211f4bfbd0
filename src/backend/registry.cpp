#include "backend/registry.h"

#include <fmt/format.h>

#include "base/error.h"

namespace lora::backend {

void Registry::add(BackendEntry entry) { entries_.push_back(std::move(entry)); }

std::unique_ptr<Backend> Registry::open(std::string_view name,
                                        const BackendOptions& options) const {
    const BackendEntry* best = nullptr;
    std::string known;
    for (const BackendEntry& entry : entries_) {
        known += (known.empty() ? "" : ", ") + entry.name;
        if (name.empty()) {
            if (!entry.unavailable_reason().empty()) continue;
            if (best == nullptr || entry.priority > best->priority) best = &entry;
        } else if (entry.name == name) {
            const std::string reason = entry.unavailable_reason();
            if (!reason.empty()) {
                throw Error(ErrorCode::kDevice,
                            fmt::format("backend {} cannot run here: {}", name, reason));
            }
            best = &entry;
        }
    }
    if (best == nullptr) {
        throw Error(ErrorCode::kConfig, fmt::format("no backend named \"{}\"", name))
            .with_hint("built in are: " + known);
    }
    return best->open(options);
}

}  // namespace lora::backend
