#include "tools/interrogate.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "text/clip_tokenizer.h"

namespace lora::tools {
namespace {

double mean_difference(std::span<const float> a, std::span<const float> b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::abs(static_cast<double>(a[i]) - b[i]);
    return sum / static_cast<double>(a.size());
}

}  // namespace

std::vector<TokenChange> interrogate(const TokenStates& without,
                                     const TokenStates& with,
                                     const InterrogateOptions& options) {
    std::vector<TokenChange> changes;
    const int64_t total = int64_t{options.last_token} + 1;
    for (int64_t first = 0; first < total; first += options.batch_size) {
        std::vector<int32_t> ids;
        for (int64_t id = first; id < std::min(first + options.batch_size, total); ++id) {
            ids.push_back(static_cast<int32_t>(id));
        }
        const std::vector<float> before = without(ids);
        const std::vector<float> after = with(ids);
        LORA_CHECK(before.size() == after.size() && before.size() % ids.size() == 0);
        const size_t each = before.size() / ids.size();
        for (size_t i = 0; i < ids.size(); ++i) {
            const double score = mean_difference(std::span(before).subspan(i * each, each),
                                                 std::span(after).subspan(i * each, each));
            if (!std::isfinite(score)) {
                throw Error(
                    ErrorCode::kNumeric,
                    fmt::format("the text encoder's state of token {} is not finite", ids[i]))
                    .with_hint("--mixed_precision no computes in fp32");
            }
            changes.push_back({ids[i], {}, score});
        }
        if (options.on_progress)
            options.on_progress(std::min(first + options.batch_size, total), total);
    }
    const auto kept = static_cast<std::ptrdiff_t>(std::min(options.top, changes.size()));
    std::partial_sort(changes.begin(),
                      changes.begin() + kept,
                      changes.end(),
                      [](const TokenChange& a, const TokenChange& b) {
                          return a.score != b.score ? a.score > b.score : a.id < b.id;
                      });
    changes.resize(static_cast<size_t>(kept));
    const text::ClipTokenizer tokenizer;
    for (TokenChange& change : changes) change.text = tokenizer.decode_token(change.id);
    return changes;
}

}  // namespace lora::tools
