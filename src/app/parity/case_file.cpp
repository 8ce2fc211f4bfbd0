#include "app/parity/case_file.h"

#include <fmt/format.h>

#include "base/error.h"

namespace lora::parity {
namespace {

Error bad_case(const CaseFile& file, const std::string& what) {
    return Error(ErrorCode::kFormat, fmt::format("golden case {}: {}", file.name, what));
}

}  // namespace

CaseFile CaseFile::open(const std::string& path) {
    io::SafetensorsFile file = io::SafetensorsFile::open(path);
    const auto found = file.metadata().find("case");
    if (found == file.metadata().end()) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("\"{}\" is no golden case: it has no metadata \"case\"", path));
    }
    Json params = parse_json(found->second, "metadata case");
    if (!params.is_object()) {
        throw Error(ErrorCode::kFormat, fmt::format("\"{}\": case is no object", path));
    }
    return {base_name(without_extension(path)), std::move(file), std::move(params)};
}

std::string CaseFile::text(const std::string& key) const {
    const auto it = params.find(key);
    if (it == params.end() || !it->is_string()) throw bad_case(*this, "no text " + key);
    return it->get<std::string>();
}

double CaseFile::number(const std::string& key) const {
    const auto it = params.find(key);
    if (it == params.end() || !it->is_number()) throw bad_case(*this, "no number " + key);
    return it->get<double>();
}

int64_t CaseFile::integer(const std::string& key, int64_t otherwise) const {
    const auto it = params.find(key);
    if (it == params.end()) return otherwise;
    if (!it->is_number_integer()) throw bad_case(*this, key + " is no whole number");
    return it->get<int64_t>();
}

bool CaseFile::flag(const std::string& key) const {
    const auto it = params.find(key);
    return it != params.end() && it->is_boolean() && it->get<bool>();
}

Tensor CaseFile::floats(const std::string& tensor) const {
    return to_dtype(file.at("in." + tensor), DType::kF32);
}

Tensor CaseFile::ids(const std::string& tensor) const {
    Tensor result = to_dtype(file.at("in." + tensor), DType::kI32);
    if (result.shape().num_axes() != 3 || result.shape()[2] != 77) {
        throw bad_case(*this, tensor + " is not [N, C, 77]");
    }
    return result;
}

}  // namespace lora::parity
