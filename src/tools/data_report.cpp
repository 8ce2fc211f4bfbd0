// The page of `lora data check --html`.
#include <map>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/file.h"
#include "base/html.h"
#include "data/dataset.h"
#include "data/image_transform.h"
#include "io/png.h"
#include "tools/data_check.h"

namespace lora::tools {
namespace {

constexpr size_t kMaxThumbnails = 300;
constexpr int64_t kThumbnailSide = 96;

std::string base64(const std::vector<std::byte>& bytes) {
    constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (size_t i = 0; i < bytes.size(); i += 3) {
        uint32_t group = 0;
        const size_t count = std::min<size_t>(3, bytes.size() - i);
        for (size_t k = 0; k < 3; ++k) {
            group = group << 8 | (k < count ? std::to_integer<uint32_t>(bytes[i + k]) : 0);
        }
        for (size_t k = 0; k < 4; ++k) {
            out += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
        }
    }
    return out;
}

// Empty when there is nothing to show.
std::string thumbnail(const std::string& path) {
    std::string out;
    if (!data::is_image_name(base_name(path))) return out;
    const auto error = attempt([&] {
        const io::Image image = io::read_image_file(path);
        const io::Image small = data::shrunk(image, kThumbnailSide);
        out = "<img alt=\"\" src=\"data:image/png;base64," + base64(io::encode_png(small)) + "\">";
    });
    return error ? std::string() : out;
}

// The picture that a caption belongs to.
std::string picture_of(const std::string& path) {
    if (data::is_image_name(base_name(path))) return path;
    return data::find_picture(without_extension(path));
}

}  // namespace

std::string data_report_html(const CheckReport& report, const std::string& folder) {
    std::string out = fmt::format(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>"
        "body{{font:15px sans-serif;margin:2em;max-width:70em}}table{{border-collapse:collapse}}"
        "td,th{{border-bottom:1px solid #ccc;padding:.4em .7em;text-align:left;vertical-align:top}}"
        ".error{{color:#b00020}}.warning{{color:#8a5a00}}.note{{color:#446}}</style></head><body>"
        "<h1>{0}</h1><p>{1} pictures, {2} errors, {3} warnings</p>\n<table><tr><th>folder</th>"
        "<th>trigger</th><th>repeats</th><th>pictures</th><th>captions</th><th>share</th></tr>\n",
        html_text(folder),
        report.images,
        report.count(Severity::kError),
        report.count(Severity::kWarning));
    for (const CheckedFolder& row : report.folders) {
        out += fmt::format(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
            "<td>{:.0f}%</td></tr>\n",
            html_text(row.name),
            html_text(row.trigger),
            row.repeats,
            row.images,
            row.captions,
            100 * row.share);
    }
    out +=
        "</table>\n<h2>Findings</h2><table><tr><th></th><th>kind</th><th>file</th><th>what</th>"
        "<th>what to do</th></tr>\n";
    std::map<std::string, std::string> thumbnails;
    for (const CheckFinding& finding : report.findings) {
        const std::string picture = picture_of(finding.path);
        if (!picture.empty() && thumbnails.size() < kMaxThumbnails &&
            !thumbnails.contains(picture)) {
            thumbnails.emplace(picture, thumbnail(picture));
        }
        const auto image = thumbnails.find(picture);
        const char* name = finding.severity == Severity::kError     ? "error"
                           : finding.severity == Severity::kWarning ? "warning"
                                                                    : "note";
        out += fmt::format(
            "<tr><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td>{}</td>"
            "<td>{}</td></tr>\n",
            image == thumbnails.end() ? "" : image->second,
            name,
            html_text(finding.kind),
            html_text(finding.path),
            html_text(finding.message),
            html_text(finding.fix));
    }
    return out + "</table></body></html>\n";
}

}  // namespace lora::tools
