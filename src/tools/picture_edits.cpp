#include "tools/picture_edits.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "data/concept.h"
#include "data/image_transform.h"
#include "io/png.h"
#include "tools/caption_tags.h"
#include "tools/file_changes.h"
#include "tools/fill.h"
#include "tools/internal/picture_set.h"

namespace lora::tools {
namespace {

using internal::InputPicture;
using internal::Outputs;

constexpr double kMuchText = 0.2;   // of the picture under the mask
constexpr double kRough = 12;       // grey levels around it
constexpr int64_t kSmallCrop = 64;  // pixels

// What one picture became, before anything is written.
struct Made {
    std::optional<Error> error;
    std::optional<io::Image> picture;    // none: skipped
    std::optional<std::string> caption;  // none: as it was
    std::string note;
    bool whole_to_reg = false;
};

std::string bytes_of_png(const io::Image& image) {
    const std::vector<std::byte> bytes = io::encode_png(image);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::optional<Mask> given_mask(const EditOptions& options,
                               const InputPicture& input,
                               io::ImageSize size) {
    if (options.mask.empty()) return std::nullopt;
    std::string path = options.mask;
    if (is_directory(path)) {
        const std::string stem = without_extension(base_name(input.path));
        path = data::find_picture(join_path(options.mask, stem));
        if (path.empty()) {
            throw Error(ErrorCode::kData,
                        fmt::format("{} holds no mask named {}", options.mask, stem));
        }
    }
    return mask_of_picture(io::read_image_file(path), size, path);
}

FigureHint hint_for(const EditOptions& options, const InputPicture& input, const io::Image& image) {
    const io::ImageSize size{image.height_px, image.width_px};
    FigureHint hint;
    hint.mask = given_mask(options, input, size);
    if (!options.box.empty()) hint.box = parse_box(options.box, size);
    return hint;
}

void check(const EditOptions& options) {
    if (!options.box.empty()) (void)parse_box(options.box, {1 << 20, 1 << 20});
    if (!options.mask.empty() && !path_exists(options.mask)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no mask {}", options.mask));
    }
}

// Writes what was made of one picture into `outputs`.
void put(const EditOptions& options,
         const InputPicture& input,
         Made made,
         Outputs& outputs,
         EditRow& row) {
    const bool in_place = options.to.empty();
    const std::string target =
        without_extension(in_place ? input.path : join_path(options.to, input.relative)) + ".png";
    const std::string root = in_place ? input.root : options.to;
    const std::string ending = extension(input.caption);
    const std::string caption = without_extension(target) + ending;
    if (!made.caption && !in_place && path_exists(input.caption)) {
        made.caption = read_text_file(input.caption);
    }
    if (in_place && is_symlink(caption)) {
        made.caption.reset();
        row.note = fmt::format("{} is a link and stays as it is", caption);
    }
    // Both names are looked at before either is taken.
    const auto free = [&](const std::string& path) {
        if (!outputs.is_taken(path)) return;
        throw Error(ErrorCode::kData, fmt::format("{} exists already and stays as it is", path))
            .with_hint("choose another folder, or move that file away");
    };
    if (in_place && target != input.path) free(target);
    if (!in_place && made.caption && path_exists(caption) &&
        read_text_file(caption) != *made.caption) {
        free(caption);
    }
    std::string bytes = bytes_of_png(*made.picture);
    if (in_place) {
        outputs.replace(root, target, std::move(bytes));
        row.written.push_back(target);
        if (target != input.path) outputs.remove(root, input.path);
    } else if (outputs.create(root, target, std::move(bytes))) {
        row.written.push_back(target);
    }
    if (!made.caption) return;
    if (in_place) {
        outputs.replace(root, caption, *made.caption);
        row.written.push_back(caption);
    } else if (outputs.create(root, caption, *made.caption)) {
        row.written.push_back(caption);
    }
}

using MakeFn = std::function<Made(const InputPicture&, const io::Image&)>;
using PutMoreFn = std::function<void(const InputPicture&, Outputs&, EditRow&)>;

EditReport edit_all(const EditOptions& options, const MakeFn& make, const PutMoreFn& put_more) {
    check(options);
    const auto inputs = internal::collect_pictures(options.inputs, options.caption_extension);
    EditReport report;
    Outputs outputs;
    ThreadPool pool;
    const int64_t chunk = 2 * pool.num_threads();
    for (int64_t start = 0; start < std::ssize(inputs); start += chunk) {
        const int64_t count = std::min(chunk, std::ssize(inputs) - start);
        std::vector<Made> made(static_cast<size_t>(count));
        pool.parallel_for(count, [&](int64_t i) {
            const InputPicture& input = inputs[static_cast<size_t>(start + i)];
            Made& own = made[static_cast<size_t>(i)];
            auto error = attempt([&] { own = make(input, io::read_image_file(input.path)); });
            own.error = std::move(error);
        });
        for (int64_t i = 0; i < count; ++i) {
            const InputPicture& input = inputs[static_cast<size_t>(start + i)];
            Made& own = made[static_cast<size_t>(i)];
            EditRow row{input.path, EditOutcome::kDone, {}, own.note};
            const bool whole = own.whole_to_reg;
            const bool is_made = own.picture.has_value();
            if (!own.error && is_made) {
                own.error = attempt([&] {
                    put(options, input, std::move(own), outputs, row);
                    if (whole) put_more(input, outputs, row);
                });
            }
            if (own.error) {
                row.outcome = EditOutcome::kFailed;
                row.note = own.error->message();
                // Options, and folders or disks that cannot be written, are wrong for all.
                const bool for_all = own.error->code() == ErrorCode::kConfig ||
                                     (is_made && own.error->code() == ErrorCode::kIo);
                if (for_all) throw *own.error;
            } else if (!is_made) {
                row.outcome = EditOutcome::kSkipped;
            }
            report.rows.push_back(std::move(row));
        }
    }
    report.roots = outputs.roots();
    if (!options.dry_run) outputs.commit();
    return report;
}

Box with_margin(const Box& box, double margin, const io::Image& image) {
    const auto more = [&](int64_t side) {
        return static_cast<int64_t>(std::lround(margin * static_cast<double>(side)));
    };
    Box out;
    out.left_px = std::max<int64_t>(0, box.left_px - more(box.width_px));
    out.top_px = std::max<int64_t>(0, box.top_px - more(box.height_px));
    out.width_px =
        std::min(image.width_px, box.left_px + box.width_px + more(box.width_px)) - out.left_px;
    out.height_px =
        std::min(image.height_px, box.top_px + box.height_px + more(box.height_px)) - out.top_px;
    return out;
}

std::string caption_or_concept(const InputPicture& input) {
    if (path_exists(input.caption)) return decode_text(read_text_file(input.caption)).utf8;
    return internal::concept_of_folder(input.folder).caption;
}

std::string caption_of_cut_out(const InputPicture& input,
                               const CutOutOptions& how,
                               const TagClasses& classes) {
    const std::string text = caption_or_concept(input);
    const std::string_view line = first_line(text);
    std::vector<std::string> tags = split_tags(line);
    const auto is_ours = [&](const std::string& tag) {
        return std::any_of(how.tags.begin(), how.tags.end(), [&](const std::string& own) {
            return plain_tag(own) == plain_tag(tag);
        });
    };
    if (how.drop_background_tags) {
        std::erase_if(tags, [&](const std::string& tag) {
            return classes.class_of(tag) == TagClass::kBackground && !is_ours(tag);
        });
    }
    for (const std::string& own : how.tags) {
        const bool there = std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
            return plain_tag(own) == plain_tag(tag);
        });
        if (!there) tags.push_back(own);
    }
    return join_tags(tags) + text.substr(line.size());
}

}  // namespace

int64_t EditReport::count(EditOutcome outcome) const {
    return std::count_if(
        rows.begin(), rows.end(), [&](const EditRow& row) { return row.outcome == outcome; });
}

std::vector<std::string> edit_roots(const EditOptions& options) {
    if (!options.to.empty()) return {options.to};  // nothing is written beside the inputs
    std::vector<std::string> out;
    out.reserve(options.inputs.size());
    for (const std::string& input : options.inputs) out.push_back(internal::root_of(input));
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

EditReport crop_figures(const EditOptions& options,
                        const CropOptions& crop,
                        const Segmenter& segmenter) {
    const auto make = [&](const InputPicture& input, const io::Image& image) {
        Made made;
        const FigureHint hint = hint_for(options, input, image);
        std::optional<Box> box = hint.box;
        if (hint.mask) {
            box = hint.mask->bounds();
            if (!box) throw Error(ErrorCode::kData, "the mask holds no white");
        }
        if (!box) {
            if (!crop.plain_too && has_plain_edge(image)) {
                made.note = "the background is plain: stays as it is";
                return made;
            }
            const auto figure = segmenter.figure_of(image, hint);
            if (!figure) {
                made.note = "no figure stands out; give --box or --mask";
                return made;
            }
            box = figure->bounds();
            if (!box) return made;
        }
        const Box part = hint.box && !hint.mask ? *box : with_margin(*box, crop.margin, image);
        if (part.width_px == image.width_px && part.height_px == image.height_px) {
            made.note = "the figure fills the picture: stays as it is";
            return made;
        }
        if (std::min(part.width_px, part.height_px) < kSmallCrop) {
            made.note = fmt::format("only {} x {} pixels", part.width_px, part.height_px);
        }
        if (!crop.reg_data_dir.empty() && crop.class_name.empty() &&
            internal::concept_of_folder(input.folder).class_name.empty()) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("{} names no class for the regularisation folder",
                                    base_name(input.folder)))
                .with_hint("--class 1girl, or name the folder like 6_miku 1girl");
        }
        made.picture =
            data::crop(image, part.left_px, part.top_px, {part.width_px, part.height_px});
        made.whole_to_reg = !crop.reg_data_dir.empty();
        return made;
    };
    const auto put_more = [&](const InputPicture& input, Outputs& outputs, EditRow& row) {
        const std::string name = crop.class_name.empty()
                                     ? internal::concept_of_folder(input.folder).class_name
                                     : crop.class_name;
        const std::string folder = join_path(crop.reg_data_dir, "1_" + name);
        const std::string bytes = read_text_file(input.path);
        const std::string file = base_name(input.path);
        std::string path = join_path(folder, file);
        // Pictures of several outfits often bear the same names.
        for (int i = 2; outputs.is_taken(path); ++i) {
            if (path_exists(path) && read_text_file(path) == bytes) return;
            path = join_path(folder,
                             fmt::format("{}_{}{}", without_extension(file), i, extension(file)));
        }
        if (outputs.create(crop.reg_data_dir, path, bytes)) row.written.push_back(path);
    };
    return edit_all(options, make, put_more);
}

EditReport cut_out(const EditOptions& options,
                   const CutOutOptions& how,
                   const Segmenter& segmenter,
                   const TagClasses& classes) {
    const auto make = [&](const InputPicture& input, const io::Image& image) {
        Made made;
        const auto figure = segmenter.figure_of(image, hint_for(options, input, image));
        if (!figure) {
            made.note = "no figure stands out; give --box or --mask";
            return made;
        }
        made.picture = on_plain_background(image, *figure, how.background);
        if (!how.tags.empty() || how.drop_background_tags) {
            made.caption = caption_of_cut_out(input, how, classes);
        }
        return made;
    };
    return edit_all(options, make, {});
}

EditReport erase(const EditOptions& options, const EraseOptions& how) {
    if (options.box.empty() && options.mask.empty()) {
        throw Error(ErrorCode::kConfig, "nothing says what is to be erased")
            .with_hint("--mask FILE or folder (white goes), or --box left,top,width,height");
    }
    const auto make = [&](const InputPicture& input, const io::Image& image) {
        Made made;
        const FigureHint hint = hint_for(options, input, image);
        const io::ImageSize size{image.height_px, image.width_px};
        const Mask mask = hint.mask ? grown(*hint.mask, how.grow_px) : mask_of_box(*hint.box, size);
        const double share = mask.share();
        if (share == 0) {
            made.note = "the mask holds no white: stays as it is";
            return made;
        }
        if (share > kMuchText) {
            made.note =
                fmt::format("{:.0f}% of the picture was covered: better leave it out", 100 * share);
        } else if (!how.colour && roughness_around(image, mask) > kRough) {
            made.note =
                "the surroundings are uneven: look at it; small text may also stay, with a tag "
                "such as signature, artist name, twitter username";
        }
        made.picture = how.colour ? painted(image, mask, *how.colour) : filled(image, mask);
        return made;
    };
    return edit_all(options, make, {});
}

}  // namespace lora::tools
