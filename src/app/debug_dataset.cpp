#include "app/debug_dataset.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/cli/terminal.h"
#include "app/demo/canvas.h"
#include "base/file.h"
#include "base/html.h"
#include "base/log.h"
#include "data/image_transform.h"
#include "data/loader.h"
#include "io/png.h"
#include "train/batch_encoder.h"
#include "train/run_settings.h"

namespace lora::app {
namespace {

constexpr int64_t kThumbSide = 192;
constexpr int64_t kColumns = 4;
constexpr int64_t kMaxPictures = 64;
constexpr int64_t kMargin = 8;
constexpr int64_t kTextLines = 8;
constexpr int kEscape = 27;

struct Shown {
    io::Image thumb;
    std::string head;  // "1.3 a.png 64x64 mirrored"
    std::string caption;
};

// Pieces of at most `columns` letters, cut at blanks where there are some.
std::vector<std::string> wrapped(std::string_view text, size_t columns) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        size_t cut = text.size();
        if (cut > columns) {
            cut = text.rfind(' ', columns);
            if (cut == std::string_view::npos || cut == 0) cut = columns;
        }
        lines.emplace_back(text.substr(0, cut));
        text.remove_prefix(
            std::min(text.size(), cut + (text.substr(cut).starts_with(' ') ? 1 : 0)));
    }
    return lines;
}

// The data set as a run would see it, without model and without latents.
class Viewer {
public:
    Viewer(const train::TrainOptions& options, config::Language language)
        : options_(options), zh_(language == config::Language::kChinese) {
        data::ScanResult found = data::scan_dataset(train::dataset_options(options, seed()));
        for (const Diagnostic& d : found.diagnostics) log::info("{}: {}", d.place, d.text);
        data_ = data::assign_buckets(std::move(found.dataset), data::BucketChooser(options.bucket));
        data::LoaderOptions loading;
        loading.seed = seed();
        loading.batch_size = options.latents.train_batch_size;
        loading.flip_aug = options.latents.flip_aug;
        loading.gradient_accumulation_steps = options.length.gradient_accumulation_steps;
        loading.caption = options.caption;
        loading.plan = data::plan_steps(data_.num_batches(options.latents.train_batch_size),
                                        train::step_options(options.length));
        plan_ = loading.plan;
        maker_ = std::make_unique<data::BatchMaker>(data_, loading, [](int64_t, bool) {
            return Tensor(DType::kF32, {4, 1, 1});
        });
    }

    // The first pictures of the first epoch as files.
    void write_files() {
        const std::string folder = join_path(options_.save.output_dir, "debug_dataset");
        make_directories(folder);
        std::vector<Shown> all;
        for (int64_t i = 0; i < plan_.num_batches && std::ssize(all) < kMaxPictures; ++i) {
            const data::Batch batch = maker_->make(1, i);
            for (int64_t n = 0; n < batch.size() && std::ssize(all) < kMaxPictures; ++n) {
                all.push_back(picture_of(batch, static_cast<size_t>(n)));
            }
        }
        write_page(folder, all);
        io::write_png(join_path(folder, "sheet.png"), sheet_of(all));
        print_out(fmt::format("{}: {}\n",
                              zh_ ? "圖片與標籤" : "pictures and captions",
                              join_path(folder, "index.html")));
    }

    // Steps through the run until a key or its end says stop.
    void walk() {
        int64_t epoch = 1;
        int64_t batch_idx = 0;
        while (epoch <= plan_.num_epochs) {
            print_batch(maker_->make(epoch, batch_idx));
            const int key = next_move();
            if (key == 'q') return;
            if (key == 'e' || ++batch_idx >= plan_.num_batches) {
                ++epoch;
                batch_idx = 0;
            }
        }
    }

private:
    [[nodiscard]] uint64_t seed() const { return options_.seed.value_or(0); }

    // 's', 'e' or 'q'; other keys are asked for again.
    [[nodiscard]] static int next_move() {
        while (true) {
            const int key = read_key();
            if (key == 's' || key == 'S') return 's';
            if (key == 'e' || key == 'E') return 'e';
            if (key == 'q' || key == 'Q' || key == kEscape || key < 0) return 'q';
        }
    }

    [[nodiscard]] const std::string& path_of(const data::Batch& batch, size_t n) const {
        return data_.dataset.images[static_cast<size_t>(batch.image_idx[n])].path;
    }

    [[nodiscard]] Shown picture_of(const data::Batch& batch, size_t n) const {
        Shown shown;
        shown.thumb = data::shrunk(
            train::draw_image(data_,
                              options_.latents,
                              seed(),
                              {batch.image_idx[n], batch.slots[n], batch.epoch, batch.flipped[n]}),
            kThumbSide);
        shown.head = fmt::format("{}.{} {} {}{}",
                                 batch.epoch,
                                 batch.batch_idx + 1,
                                 base_name(path_of(batch, n)),
                                 data::to_string(batch.bucket),
                                 batch.flipped[n] ? (zh_ ? " 翻轉" : " mirrored") : "");
        shown.caption = batch.captions[n];
        return shown;
    }

    void print_batch(const data::Batch& batch) const {
        print_out(fmt::format("epoch {}/{}, {} {}/{}, {}\n",
                              batch.epoch,
                              plan_.num_epochs,
                              zh_ ? "步" : "step",
                              batch.batch_idx + 1,
                              plan_.num_batches,
                              data::to_string(batch.bucket)));
        for (size_t n = 0; n < batch.captions.size(); ++n) {
            print_out(fmt::format("  {}{}\n    {}\n",
                                  path_of(batch, n),
                                  batch.flipped[n] ? (zh_ ? "(翻轉)" : " (mirrored)") : "",
                                  batch.captions[n]));
        }
        print_out(zh_ ? "[s] 下一步  [e] 下一個 epoch  [q/Esc] 結束\n"
                      : "[s] next step  [e] next epoch  [q/Esc] quit\n");
    }

    void write_page(const std::string& folder, const std::vector<Shown>& all) const {
        std::string page =
            "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>debug_dataset</title>\n"
            "<style>body{font-family:sans-serif;background:#fff;color:#222}"
            "figure{display:inline-block;width:200px;margin:8px;vertical-align:top;font-size:13px}"
            "small{color:#777}</style></head><body>\n";
        for (size_t i = 0; i < all.size(); ++i) {
            const std::string name = fmt::format("{:03}.png", i + 1);
            io::write_png(join_path(folder, name), all[i].thumb);
            page += fmt::format(
                "<figure><img src=\"{}\" alt=\"\"><figcaption><small>{}</small><br>{}"
                "</figcaption></figure>\n",
                name,
                html_text(all[i].head),
                html_text(all[i].caption));
        }
        page += "</body></html>\n";
        write_file_atomically(join_path(folder, "index.html"), page);
    }

    [[nodiscard]] static io::Image sheet_of(const std::vector<Shown>& all) {
        constexpr int64_t kCellWidth = kThumbSide + 2 * kMargin;
        constexpr int64_t kCellHeight = kThumbSide + 2 * kMargin + (kTextLines + 1) * kLetterHeight;
        const int64_t rows = (std::ssize(all) + kColumns - 1) / kColumns;
        Canvas canvas(kColumns * kCellWidth, std::max<int64_t>(rows, 1) * kCellHeight);
        for (int64_t i = 0; i < std::ssize(all); ++i) {
            const Shown& shown = all[static_cast<size_t>(i)];
            const Point at = {(i % kColumns) * kCellWidth + kMargin,
                              (i / kColumns) * kCellHeight + kMargin};
            canvas.picture(at, shown.thumb);
            const auto columns = static_cast<size_t>(kThumbSide / kLetterWidth);
            int64_t y = at.y + kThumbSide + 4;
            canvas.text(
                {at.x, y}, std::string_view(shown.head).substr(0, columns), {120, 120, 126});
            for (const std::string& line : wrapped(shown.caption, columns)) {
                y += kLetterHeight;
                if (y >= at.y + kThumbSide + 4 + kTextLines * kLetterHeight) break;
                canvas.text({at.x, y}, line);
            }
        }
        return canvas.image();
    }

    const train::TrainOptions& options_;
    bool zh_;
    data::BucketedDataset data_;
    data::StepPlan plan_;
    std::unique_ptr<data::BatchMaker> maker_;
};

}  // namespace

int show_dataset(const train::TrainOptions& options, config::Language language) {
    Viewer viewer(options, language);
    viewer.write_files();
    viewer.walk();
    return 0;
}

}  // namespace lora::app
