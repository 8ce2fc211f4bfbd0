#include "infer/onnx_session.h"

#include <filesystem>
#include <iterator>

#include <fmt/format.h>

#include "base/check.h"
#include "base/dynamic_library.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/utf8.h"
#include "infer/internal/ort_api.h"

namespace lora::infer {
namespace {

#ifdef _WIN32
constexpr const char* kLibraryNames[] = {"onnxruntime.dll"};
// What a Windows without anything installed lacks.
constexpr const char* kWhatItNeeds =
    "it needs Microsoft's Visual C++ runtime: install vc_redist.x64.exe "
    "(https://aka.ms/vs/17/release/vc_redist.x64.exe), or copy msvcp140.dll, vcruntime140.dll and "
    "vcruntime140_1.dll of a PC that has them beside lora.exe";
#else
constexpr const char* kLibraryNames[] = {"libonnxruntime.so", "libonnxruntime.so.1"};
constexpr const char* kWhatItNeeds = "it must be made for this system and processor";
#endif
constexpr const char* kHowToGet =
    "./dev setup installs it; or get ONNX Runtime 1.17 or newer and give its library with "
    "--onnxruntime FILE, or lay it into lib/ beside the program";

std::vector<std::string> places_to_look() {
    std::vector<std::string> out;
    for (const char* name : kLibraryNames) {
        for (const char* folder : {"lib", ""}) {
            const std::string path = join_path(join_path(program_folder(), folder), name);
            if (path_exists(path)) {
                out.push_back(from_path(to_path(path).make_preferred()));
            }
        }
    }
    out.insert(out.end(), std::begin(kLibraryNames), std::end(kLibraryNames));
    return out;
}

std::unique_ptr<DynamicLibrary> open_library(const std::string& named) {
    if (named.empty()) {
        const std::vector<std::string> places = places_to_look();
        auto library = DynamicLibrary::open(places);
        if (library == nullptr && places.size() > std::size(kLibraryNames)) {
            throw Error(ErrorCode::kDevice,
                        fmt::format("{} cannot be opened as a library", places.front()))
                .with_hint(kWhatItNeeds);
        }
        if (library == nullptr) {
            throw Error(ErrorCode::kDevice, "ONNX Runtime, which runs the model, was not found")
                .with_hint(kHowToGet);
        }
        return library;
    }
    if (!path_exists(named) || is_directory(named)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no library {}", named))
            .with_hint("name the file itself, such as libonnxruntime.so or onnxruntime.dll");
    }
    const std::string path = from_path(std::filesystem::absolute(to_path(named)).make_preferred());
    auto library = DynamicLibrary::open({path});
    if (library == nullptr) {
        throw Error(ErrorCode::kDevice, fmt::format("{} cannot be opened as a library", named))
            .with_hint(kWhatItNeeds);
    }
    return library;
}

// Frees a handle of the library on every way out.
template <typename T>
class Handle {
public:
    explicit Handle(void (*release)(T*)) : release_(release) {}
    ~Handle() {
        if (value_ != nullptr) release_(value_);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    T** out() { return &value_; }
    [[nodiscard]] T* get() const { return value_; }

private:
    void (*release_)(T*);
    T* value_ = nullptr;
};

}  // namespace

std::string shape_text(const std::vector<int64_t>& dims) {
    std::string out = "[";
    for (const int64_t dim : dims) {
        if (out.size() > 1) out += ", ";
        out += dim < 0 ? "any" : fmt::format("{}", dim);
    }
    return out + "]";
}

struct OnnxSession::Impl {
    std::unique_ptr<DynamicLibrary> library;
    std::string version;
    OrtApi api;
    OrtEnv* env = nullptr;
    OrtMemoryInfo* memory = nullptr;
    OrtSession* session = nullptr;
    std::vector<TensorSlot> inputs;
    std::vector<TensorSlot> outputs;

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        if (session != nullptr) api.release_session(session);
        if (memory != nullptr) api.release_memory(memory);
        if (env != nullptr) api.release_env(env);
    }

    void open(const std::string& named) {
        library = open_library(named);
        using GetBase = const OrtApiBase* (*)();
        const auto get_base = reinterpret_cast<GetBase>(library->symbol("OrtGetApiBase"));
        const OrtApiBase* base = get_base == nullptr ? nullptr : get_base();
        if (base == nullptr) {
            throw Error(ErrorCode::kDevice, fmt::format("{} is not ONNX Runtime", library->name()))
                .with_hint(kHowToGet);
        }
        version = base->version();
        const void* const* table = base->get_api(kOrtApiLevel);
        if (table == nullptr) {
            throw Error(ErrorCode::kDevice,
                        fmt::format("ONNX Runtime {} in {} lacks level {} of its interface",
                                    version,
                                    library->name(),
                                    kOrtApiLevel))
                .with_hint(kHowToGet);
        }
        api = read_ort_table(table);
        check(api.create_env(kOrtLogErrors, "lora", &env), "starting");
        check(api.disable_telemetry(env), "starting");
        check(api.create_cpu_memory(kOrtArenaAllocator, kOrtMemoryDefault, &memory), "starting");
        log::debug("ONNX Runtime {} from {}", version, library->name());
    }

    // Throws what a call of the library reports; `code` is the Error's unless it is a missing file.
    void check(OrtStatus* status,
               std::string_view doing,
               ErrorCode code = ErrorCode::kDevice) const {
        if (status == nullptr) return;
        const int number = api.error_code(status);
        const std::string message = api.error_message(status);
        api.release_status(status);
        Error error(number == kOrtNoSuchFile ? ErrorCode::kIo : code,
                    fmt::format("ONNX Runtime {}, {}: {}", version, doing, message));
        if (code != ErrorCode::kFormat) throw error;
        throw std::move(error).with_hint(
            "the file is damaged or no ONNX model, or wants a newer ONNX Runtime (--onnxruntime)");
    }

    void load(const std::string& path, int threads) {
        Handle<OrtSessionOptions> options(api.release_session_options);
        check(api.create_session_options(options.out()), "starting");
        if (threads > 0) check(api.set_threads(options.get(), threads), "starting");
#ifdef _WIN32
        const std::wstring native = to_path(path).wstring();
#else
        const std::string& native = path;
#endif
        check(api.create_session(env, native.c_str(), options.get(), &session),
              "loading",
              ErrorCode::kFormat);
        size_t num_inputs = 0;
        size_t num_outputs = 0;
        check(api.input_count(session, &num_inputs), "reading inputs");
        check(api.output_count(session, &num_outputs), "reading outputs");
        for (size_t i = 0; i < num_inputs; ++i) {
            inputs.push_back(slot(api.input_name, api.input_type, i));
        }
        for (size_t i = 0; i < num_outputs; ++i) {
            outputs.push_back(slot(api.output_name, api.output_type, i));
        }
    }

    template <typename NameFn, typename TypeFn>
    TensorSlot slot(NameFn name_of, TypeFn type_of, size_t place) const {
        TensorSlot out;
        OrtAllocator* allocator = nullptr;
        check(api.default_allocator(&allocator), "reading names");
        char* name = nullptr;
        check(name_of(session, place, allocator, &name), "reading names");
        out.name = name;
        check(api.free(allocator, name), "reading names");
        Handle<OrtTypeInfo> type(api.release_type);
        check(type_of(session, place, type.out()), "reading types");
        const OrtTensorInfo* info = nullptr;  // belongs to `type`; null for what is no tensor
        check(api.tensor_info_of_type(type.get(), &info), "reading types");
        if (info != nullptr) read_info(info, out.dims, out.is_float);
        return out;
    }

    void read_info(const OrtTensorInfo* info, std::vector<int64_t>& dims, bool& is_float) const {
        int element = 0;
        check(api.element_type(info, &element), "reading types");
        is_float = element == kOrtFloat;
        size_t rank = 0;
        check(api.rank(info, &rank), "reading shapes");
        dims.resize(rank);
        check(api.dimensions(info, dims.data(), rank), "reading shapes");
        for (int64_t& dim : dims) {
            if (dim < 0) dim = -1;
        }
    }
};

OnnxSession::OnnxSession(const std::string& model_path, const OnnxOptions& options)
    : impl_(std::make_unique<Impl>()) {
    if (!path_exists(model_path)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no file {}", model_path));
    }
    impl_->open(options.library);
    with_context(fmt::format("while reading {}", model_path),
                 [&] { impl_->load(model_path, options.threads); });
}

OnnxSession::~OnnxSession() = default;

const std::vector<TensorSlot>& OnnxSession::inputs() const { return impl_->inputs; }
const std::vector<TensorSlot>& OnnxSession::outputs() const { return impl_->outputs; }
const std::string& OnnxSession::library_version() const { return impl_->version; }
const std::string& OnnxSession::library_path() const { return impl_->library->name(); }

FloatTensor OnnxSession::run(std::span<const float> values, std::span<const int64_t> dims) {
    const OrtApi& api = impl_->api;
    size_t count = 1;
    for (const int64_t dim : dims) count *= narrow<size_t>(dim);
    LORA_CHECK(count == values.size(), "values and their shape");
    LORA_CHECK(impl_->inputs.size() == 1 && !impl_->outputs.empty(), "one input, an output");
    Handle<OrtValue> input(api.release_value);
    // The library reads these bytes and never writes them.
    void* data = const_cast<float*>(values.data());
    impl_->check(api.create_tensor(impl_->memory,
                                   data,
                                   values.size_bytes(),
                                   dims.data(),
                                   dims.size(),
                                   kOrtFloat,
                                   input.out()),
                 "taking the input");
    const char* input_name = impl_->inputs.front().name.c_str();
    const char* output_name = impl_->outputs.front().name.c_str();
    const OrtValue* given = input.get();
    Handle<OrtValue> output(api.release_value);
    impl_->check(
        api.run(impl_->session, nullptr, &input_name, &given, 1, &output_name, 1, output.out()),
        "running the model");
    int kind = 0;
    impl_->check(api.value_type(output.get(), &kind), "reading the output");
    FloatTensor out;
    bool is_float = false;
    if (kind == kOrtTensor) {
        Handle<OrtTensorInfo> info(api.release_tensor_info);
        impl_->check(api.tensor_info_of_value(output.get(), info.out()), "reading the output");
        impl_->read_info(info.get(), out.dims, is_float);
    }
    if (!is_float) {
        throw Error(ErrorCode::kFormat, "the model's first output is no tensor of floats");
    }
    size_t size = 1;
    for (const int64_t dim : out.dims) size *= narrow<size_t>(dim);
    void* result = nullptr;
    impl_->check(api.tensor_data(output.get(), &result), "reading the output");
    const auto* first = static_cast<const float*>(result);
    out.values.assign(first, first + size);
    return out;
}

}  // namespace lora::infer
