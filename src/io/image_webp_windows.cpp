// WebP through the imaging component of Windows (WIC), which reads it since Windows 10 1809.
#include <limits>
#include <objbase.h>
#include <wincodec.h>
#include <windows.h>

#include <fmt/format.h>

#include "base/error.h"
#include "io/internal/pixels.h"

namespace lora::io {
namespace {

// Releases a COM object on every way out.
template <typename T>
class ComPtr {
public:
    ComPtr() = default;
    ~ComPtr() {
        if (object_ != nullptr) object_->Release();
    }
    ComPtr(const ComPtr&) = delete;
    ComPtr& operator=(const ComPtr&) = delete;
    T* operator->() const { return object_; }
    [[nodiscard]] T* get() const { return object_; }
    [[nodiscard]] T** out() { return &object_; }

private:
    T* object_ = nullptr;
};

// COM for this thread; a thread that has it in another mode keeps that one.
class ComScope {
public:
    ComScope() : result_(CoInitializeEx(nullptr, COINIT_MULTITHREADED)) {}
    ~ComScope() {
        if (SUCCEEDED(result_)) CoUninitialize();
    }
    ComScope(const ComScope&) = delete;
    ComScope& operator=(const ComScope&) = delete;

private:
    HRESULT result_;
};

void check(HRESULT result, const char* step) {
    if (SUCCEEDED(result)) return;
    throw Error(ErrorCode::kData,
                fmt::format("the WebP picture cannot be decoded: {} failed ({:#x})",
                            step,
                            static_cast<unsigned long>(result)))
        .with_hint(
            "Windows reads WebP through its WebP Image Extension; install it, or save the picture "
            "as PNG");
}

}  // namespace

Pixels decode_webp(std::span<const std::byte> bytes) {
    if (bytes.size() > std::numeric_limits<DWORD>::max()) {
        throw Error(ErrorCode::kData, "the picture's file is over 4 GiB");
    }
    const ComScope com;
    ComPtr<IWICImagingFactory> factory;
    check(CoCreateInstance(CLSID_WICImagingFactory,
                           nullptr,
                           CLSCTX_INPROC_SERVER,
                           IID_IWICImagingFactory,
                           reinterpret_cast<void**>(factory.out())),
          "opening the imaging component");
    ComPtr<IWICStream> stream;
    check(factory->CreateStream(stream.out()), "opening a stream");
    // The stream only reads.
    auto* data = const_cast<BYTE*>(reinterpret_cast<const BYTE*>(bytes.data()));
    check(stream->InitializeFromMemory(data, static_cast<DWORD>(bytes.size())), "opening a stream");
    ComPtr<IWICBitmapDecoder> decoder;
    check(factory->CreateDecoderFromStream(
              stream.get(), nullptr, WICDecodeMetadataCacheOnDemand, decoder.out()),
          "finding a WebP decoder");
    ComPtr<IWICBitmapFrameDecode> frame;
    check(decoder->GetFrame(0, frame.out()), "decoding");
    ComPtr<IWICFormatConverter> converter;
    check(factory->CreateFormatConverter(converter.out()), "converting");
    check(converter->Initialize(frame.get(),
                                GUID_WICPixelFormat32bppRGBA,
                                WICBitmapDitherTypeNone,
                                nullptr,
                                0,
                                WICBitmapPaletteTypeCustom),
          "converting");
    UINT width = 0;
    UINT height = 0;
    check(converter->GetSize(&width, &height), "reading the size");
    Pixels pixels{height, width, 4, {}};
    const UINT stride = width * 4;
    const size_t size = static_cast<size_t>(stride) * height;
    if (size > std::numeric_limits<UINT>::max())
        throw Error(ErrorCode::kData, "the picture is too large");
    pixels.data.resize(size);
    check(converter->CopyPixels(nullptr, stride, static_cast<UINT>(size), pixels.data.data()),
          "decoding");
    return pixels;
}

}  // namespace lora::io
