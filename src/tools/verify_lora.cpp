#include "tools/verify_lora.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/words.h"
#include "models/keymap/kohya.h"
#include "tools/internal/layer_reader.h"

namespace lora::tools {
namespace {

using nn::LoraKind;

// Runs of digits as '#': "lora_unet_down_blocks_#_...".
std::string pattern_of(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
        if (!digit) {
            out += c;
        } else if (out.empty() || out.back() != '#') {
            out += '#';
        }
    }
    return out;
}

// Names of layers that some Stable Diffusion has, by their patterns.
bool is_known_layer(const std::string& layer) {
    static const std::set<std::string> kPatterns = [] {
        std::set<std::string> patterns;
        const auto targets =
            models::list_lora_targets(models::sd15_info(), {.conv = true, .ends = true});
        for (const models::LoraTarget& target : targets) {
            patterns.insert(pattern_of(target.lora_name));
        }
        return patterns;
    }();
    if (layer.starts_with("lora_te")) {  // SDXL: lora_te1_, lora_te2_
        return kPatterns.contains(pattern_of("lora_te_" + layer.substr(layer.find('_', 5) + 1)));
    }
    return kPatterns.contains(pattern_of(layer));
}

bool is_end_layer(const std::string& layer) {
    return layer.find("unet_conv_in") != std::string::npos ||
           layer.find("unet_conv_out") != std::string::npos ||
           layer.find("unet_time_embedding") != std::string::npos;
}

// The file's tensors of one layer.
struct Group {
    std::map<std::string, TensorView, std::less<>> tensors;
    std::vector<std::string> names;  // as in the file
    KeyStyle style = KeyStyle::kKohya;
    std::optional<LoraLayer> layer;  // absent: its tensors do not fit together
};

class Verifier {
public:
    explicit Verifier(const std::string& path) : path_(path) {}

    VerifyReport run(const std::vector<Program>& programs) {
        std::optional<io::SafetensorsFile> file;
        auto problem = attempt([&] { file.emplace(io::SafetensorsFile::open(path_)); });
        if (problem && problem->code() != ErrorCode::kFormat) throw std::move(*problem);
        if (problem) {
            report_.errors.push_back(problem->message());
        } else {
            group(*file);
            check_layers();
        }
        for (const Program program : programs) judge(program);
        return report_;
    }

private:
    void group(const io::SafetensorsFile& file) {
        for (const io::TensorInfo& info : file.tensors()) {
            const auto parsed = parse_lora_key(info.name);
            if (!parsed) {
                others_.push_back(info.name);
                continue;
            }
            Group& group = groups_[parsed->key.layer];
            group.style = parsed->style;
            group.names.push_back(info.name);
            if (!group.tensors.emplace(parsed->key.suffix, file.view(info)).second) {
                report_.errors.push_back(fmt::format("{} stands in the file twice", info.name));
            }
        }
        report_.layers = static_cast<int64_t>(groups_.size());
        if (groups_.empty()) {
            report_.errors.emplace_back("the file holds no layers of a LoRA");
            return;
        }
        if (!others_.empty()) {
            report_.warnings.push_back(
                fmt::format("{} tensors belong to no layer, first {}", others_.size(), others_[0]));
        }
    }

    void check_layers() {
        for (auto& [name, group] : groups_) {
            auto tensors = group.tensors;
            tensors.erase("dora_scale");
            const auto problem = attempt([&, layer = &name, into = &group] {
                into->layer = internal::read_layer(*layer, std::move(tensors), path_);
                for (const auto& [suffix, view] : into->layer->factors) {
                    static_cast<void>(factor_matrix(*into->layer, suffix, 1));
                }
            });
            if (problem) {
                report_.errors.push_back(problem->message());
                group.layer.reset();
                continue;
            }
            if (!group.layer->has_alpha && group.style == KeyStyle::kKohya &&
                group.layer->kind != LoraKind::kIa3) {
                ++without_alpha_;
            }
        }
        if (without_alpha_ > 0) {
            report_.warnings.push_back(fmt::format(
                "{} layers have no alpha; programs take their rank for it", without_alpha_));
        }
    }

    void judge(Program program) {
        ProgramVerdict verdict{program};
        std::map<std::string, std::pair<int64_t, std::string>> problems;  // count, first
        for (const auto& [name, group] : groups_) {
            const std::string problem = problem_with(program, name, group);
            if (problem.empty()) {
                ++verdict.layers_found;
                continue;
            }
            auto& entry = problems[problem];
            if (entry.first++ == 0) entry.second = group.names.front();
        }
        for (const auto& [text, entry] : problems) {
            verdict.problems.push_back(
                fmt::format("{}: {} layers, first {}", text, entry.first, entry.second));
        }
        const bool strict = program == Program::kDiffusers;
        if (strict && !others_.empty() && !groups_.empty()) {
            verdict.problems.push_back(
                fmt::format("refuses files with tensors it does not know: {}", others_[0]));
        }
        if (groups_.empty()) verdict.problems.emplace_back("finds no layer");
        report_.programs.push_back(std::move(verdict));
    }

    [[nodiscard]] static std::string problem_with(Program program,
                                                  const std::string& name,
                                                  const Group& group) {
        if (!group.layer) return "cannot use a layer whose tensors do not fit together";
        if (!is_known_layer(name)) return "finds no layer of this name in Stable Diffusion";
        switch (program) {
            case Program::kAutomatic1111: return automatic_problem(group);
            case Program::kComfyUI: return comfy_problem(group);
            case Program::kDiffusers: return diffusers_problem(name, group);
        }
        return {};
    }

    // Looks layers up by what stands before the first dot.
    [[nodiscard]] static std::string automatic_problem(const Group& group) {
        if (group.style == KeyStyle::kKohya) return {};
        return "knows sd-scripts' names only (lora convert --key_style kohya)";
    }

    [[nodiscard]] static std::string comfy_problem(const Group& group) {
        if (group.layer->kind == LoraKind::kIa3) return "has no IA3";
        if (group.style == KeyStyle::kKohya) return {};
        for (const std::string& name : group.names) {
            if (name.starts_with("base_model.")) {
                return "does not know PEFT's prefix (lora convert --key_style kohya)";
            }
            // Attention is found under the words of diffusers' older processors alone.
            const bool unet = !name.starts_with("text_encoder");
            if (unet && name.find(".to_") != std::string::npos &&
                name.find(".processor.to_") == std::string::npos) {
                return "does not find attention under these names (lora convert --key_style kohya)";
            }
        }
        return {};
    }

    [[nodiscard]] static std::string diffusers_problem(const std::string& name,
                                                       const Group& group) {
        if (group.layer->kind != LoraKind::kLora) return "loads LoRA alone, no LoHa, LoKr or IA3";
        if (group.layer->has("lora_mid.weight")) return "has no Tucker form of convolutions";
        if (group.style == KeyStyle::kKohya) {
            return is_end_layer(name) ? "does not find conv_in, conv_out and the time embedding"
                                      : std::string();
        }
        const std::string& first = group.names.front();
        const bool prefixed = first.starts_with("unet.") || first.starts_with("text_encoder");
        return prefixed ? std::string() : "wants unet. or text_encoder. before every name";
    }

    const std::string& path_;
    VerifyReport report_;
    std::map<std::string, Group> groups_;
    std::vector<std::string> others_;
    int64_t without_alpha_ = 0;
};

}  // namespace

std::string_view program_name(Program program) {
    switch (program) {
        case Program::kAutomatic1111: return "AUTOMATIC1111";
        case Program::kComfyUI: return "ComfyUI";
        case Program::kDiffusers: return "diffusers";
    }
    return "";
}

bool VerifyReport::ok() const {
    return errors.empty() && std::all_of(programs.begin(), programs.end(), [](const auto& verdict) {
               return verdict.problems.empty();
           });
}

VerifyReport verify_lora(const std::string& path, const std::vector<Program>& programs) {
    return Verifier(path).run(programs);
}

}  // namespace lora::tools
