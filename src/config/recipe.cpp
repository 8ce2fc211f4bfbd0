#include "config/recipe.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"
#include "config/internal/toml_text.h"
#include "config/option_table.h"
#include "train/advice.h"

namespace lora::config {
namespace {

constexpr int64_t kFewImages = 30;     // the guide's line
constexpr double kUsualViews = 75;     // the middle of 50 to 100
constexpr double kFewerViews = 60;     // where the trigger alone carries much
constexpr double kDAdaptFactor = 1.2;  // the middle of 1 to 1.4
constexpr double kUnequal = 2;         // draws of folders that differ more are put right

class Writer {
public:
    Writer(const RecipeOptions& options, const data::Dataset& dataset)
        : options_(options), dataset_(dataset) {}

    Recipe write() {
        count();
        choose_policy();
        choose_algo();
        paths();
        size();
        batch();
        network();
        length();
        captions();
        regularisation();
        background();
        return std::move(recipe_);
    }

private:
    void add(std::string option, std::string word, std::string en, std::string zh) {
        add_list(std::move(option), {std::move(word)}, std::move(en), std::move(zh));
    }
    void add_list(std::string option,
                  std::vector<std::string> words,
                  std::string en,
                  std::string zh) {
        recipe_.rows.push_back(
            {std::move(option), std::move(words), {std::move(en), std::move(zh)}});
    }

    void count() {
        std::vector<int64_t> draws(dataset_.folders.size(), 0);
        for (size_t i = 0; i < dataset_.folders.size(); ++i) {
            const data::ConceptFolder& folder = dataset_.folders[i];
            if (folder.is_reg) {
                reg_images_ += folder.num_images;
                continue;
            }
            if (folder.num_images == 0) continue;
            images_ += folder.num_images;
            without_caption_ += folder.num_without_caption;
            RecipeFolder row;
            row.name = folder.name;
            row.images = folder.num_images;
            row.repeats = folder.repeats;
            recipe_.folders.push_back(std::move(row));
        }
        if (images_ == 0) {
            throw Error(ErrorCode::kData, "there is no picture to make a recipe for")
                .with_hint("lora data check tells what is wrong with the folder");
        }
        for (const RecipeFolder& row : recipe_.folders) draws_ += row.images * row.repeats;
        for (RecipeFolder& row : recipe_.folders) {
            row.share = static_cast<double>(row.images * row.repeats) / static_cast<double>(draws_);
        }
    }

    void choose_policy() {
        policy_ = options_.policy;
        if (policy_.empty()) policy_ = without_caption_ == images_ ? "none" : "full";
    }

    void choose_algo() {
        algo_ = options_.algo;
        if (algo_.empty()) algo_ = options_.goal == "style" ? "locon" : "lora";
    }

    void paths() {
        if (!options_.pretrained_model.empty()) {
            add("pretrained_model_name_or_path",
                options_.pretrained_model,
                "what counts is that it understands the tags, less its style",
                "重要的是底模能理解標籤,畫風其次");
        }
        add("train_data_dir",
            options_.train_data_dir,
            fmt::format("{} pictures in {} concept folders", images_, recipe_.folders.size()),
            fmt::format("{} 張圖片,{} 個概念資料夾", images_, recipe_.folders.size()));
        if (!options_.output_name.empty()) {
            add("output_name", options_.output_name, "name of the files", "輸出檔名");
        }
    }

    void size() {
        add("resolution",
            options_.resolution,
            "the size the base model was made for; pictures need not be cropped",
            "底模的原生解析度;圖片不必先裁切");
        int64_t side = 0;
        for (const std::string_view word : split(options_.resolution, ',')) {
            const auto value = parse_number<int64_t>(trimmed(word));
            if (value) side = side == 0 ? *value : std::min(side, *value);
        }
        if (side > 0 && side != 512) {
            const int64_t low = std::max<int64_t>(64, side / 2 / 64 * 64);
            const int64_t high = std::max<int64_t>(2 * side, 128) / 64 * 64;
            add("min_bucket_reso", fmt::format("{}", low), "half the resolution", "解析度的一半");
            add("max_bucket_reso", fmt::format("{}", high), "twice the resolution", "解析度的兩倍");
        }
    }

    void batch() {
        const int64_t batch = options_.train_batch_size;
        const bool fits = options_.batch_by_memory;
        add("train_batch_size",
            fmt::format("{}", batch),
            batch > 1 ? fmt::format("2 or 4 give a steadier curve{}", fits ? "; this fits" : "")
                      : std::string("1 only for lack of memory: the curve is less steady"),
            batch > 1 ? fmt::format("2 或 4 的學習曲線較穩定{}", fits ? ";記憶體放得下" : "")
                      : std::string("記憶體不足才用 1,曲線較不穩"));
    }

    void network() {
        int64_t dim = options_.network_dim;
        if (algo_ == "lora") {
            if (dim == 0) dim = 32;
            add("network_dim",
                fmt::format("{}", dim),
                dim >= 128 ? "large: 32 is enough for most subjects" : "32 is enough, not 128",
                "一般 32 就好,不用 128");
        } else {
            const bool loha = algo_ == "loha";
            if (dim == 0) dim = loha ? 4 : 16;
            add("network_module",
                "lycoris.kohya",
                options_.goal == "style" ? "LoCon and LoHa suit styles: they learn textures"
                                         : "not advised but for styles: more time, a larger file, "
                                           "details learn unevenly",
                options_.goal == "style" ? "LoCon、LoHa 適合畫風"
                                         : "除了畫風以外不建議:時間更長、檔案更大、細節學習不均");
            add_list("network_args",
                     {"algo=" + algo_, loha ? "conv_dim=2" : "conv_dim=4", "conv_alpha=1"},
                     "small ranks for large kernels",
                     "卷積層用小的 rank");
            add("network_dim",
                fmt::format("{}", dim),
                loha ? "the square root of a LoCon's: a LoHa multiplies two"
                     : "smaller than a LoRA's: convolutions learn too",
                loha ? "LoCon 設定值的開根號(LoHa 是平方關係)" : "比 LoRA 小:卷積層也會學");
        }
        const int64_t alpha = std::max<int64_t>(1, dim / 2);
        add("network_alpha",
            fmt::format("{}", alpha),
            "a quarter to a half of network_dim",
            "network_dim 的 0.25 到 0.5 倍");
        add("optimizer_type",
            options_.optimizer_type,
            is_dadapt() ? "finds its rate itself; wants 1 to 1.4 times the epochs"
                        : "the rates below are for it",
            is_dadapt() ? "自動找學習率;epoch 為 AdamW 的 1 到 1.4 倍" : "下面的學習率以此為準");
    }

    [[nodiscard]] bool is_dadapt() const {
        return lower_ascii(options_.optimizer_type) == "dadaptadam";
    }

    // Epochs for the folder that is drawn most; the others should go along with it.
    void length() {
        const train::ViewRange range = train::usual_views(options_.optimizer_type);
        recipe_.low_views = range.low;
        recipe_.high_views = range.high;
        const bool fewer = policy_ != "full" || algo_ == "loha";
        double views = fewer ? kFewerViews : kUsualViews;
        if (is_dadapt()) views *= kDAdaptFactor;
        const RecipeFolder* main = &recipe_.folders.front();
        for (const RecipeFolder& row : recipe_.folders) {
            if (row.images * row.repeats > main->images * main->repeats) main = &row;
        }
        const int64_t repeats = std::max<int64_t>(1, main->repeats);
        const int64_t epochs =
            std::max<int64_t>(1, std::llround(views / static_cast<double>(repeats)));
        add("max_train_epochs",
            fmt::format("{}", epochs),
            fmt::format("{} repeats x {} epochs = {}; {} to {} is usual{}",
                        repeats,
                        epochs,
                        repeats * epochs,
                        range.low,
                        range.high,
                        fewer ? ", the lower part without full tags or with LoHa" : ""),
            fmt::format("{} repeats x {} epochs = {};通常為 {} 到 {}{}",
                        repeats,
                        epochs,
                        repeats * epochs,
                        range.low,
                        range.high,
                        fewer ? ",非全標或 LoHa 時取低一點" : ""));
        advise_on_repeats(*main, epochs, range);
    }

    void advise_on_repeats(const RecipeFolder& main, int64_t epochs, train::ViewRange range) {
        const int64_t largest = main.images * main.repeats;
        for (RecipeFolder& row : recipe_.folders) {
            row.views = row.repeats * epochs;
            row.views_usual = row.views >= range.low && row.views <= range.high;
            const train::RepeatRange usual = train::usual_repeats(row.images);
            const double draws = static_cast<double>(row.images * row.repeats);
            row.advised_repeats = row.repeats;
            if (draws * kUnequal < static_cast<double>(largest)) {
                row.advised_repeats = std::max<int64_t>(
                    1,
                    std::llround(static_cast<double>(largest) / static_cast<double>(row.images)));
                row.why = {fmt::format("{:.0f}% of an epoch: {} repeats would weigh as much as {}",
                                       100 * row.share,
                                       row.advised_repeats,
                                       main.name),
                           fmt::format("佔一個 epoch 的 {:.0f}%:{} repeats 可與 {} 平衡",
                                       100 * row.share,
                                       row.advised_repeats,
                                       main.name)};
            } else if (row.repeats < usual.low || row.repeats > usual.high) {
                row.advised_repeats = advised_repeats(row.images);
                row.why = {
                    fmt::format(
                        "{} to {} repeats suit {} pictures", usual.low, usual.high, row.images),
                    fmt::format(
                        "{} 張圖片通常用 {} 到 {} repeats", row.images, usual.low, usual.high)};
            } else {
                row.why = {
                    fmt::format(
                        "{} to {} is usual for {} pictures", usual.low, usual.high, row.images),
                    fmt::format("{} 張圖片的常用範圍 {} 到 {}", row.images, usual.low, usual.high)};
            }
        }
    }

    void captions() {
        add("caption_extension", ".txt", "where taggers write", "標註檔副檔名");
        const bool named = options_.goal == "character" || options_.goal == "outfit";
        const bool deleted = policy_ == "no_traits" || policy_ == "whitelist";
        const bool keep = named || deleted;
        if (policy_ == "none") {
            add("keep_tokens",
                "0",
                "no captions: the concept's name is the only one",
                "不打標:只用概念名稱訓練");
        } else {
            add("keep_tokens",
                keep ? "1" : "0",
                deleted ? "needed: deleted tags flow into the trigger, which has to stay in front"
                : named ? "the trigger stays in front of the shuffled tags"
                        : "no trigger has to stay in front",
                deleted ? "刪標必須設定:刪掉的內容要學進最前面的觸發詞"
                : named ? "觸發詞固定在最前,其餘打亂"
                        : "沒有需要固定在最前的觸發詞");
        }
        add("concept_trigger",
            named ? "prepend" : "auto",
            named ? "captions that lack the trigger get it in front"
                  : "folders whose captions never name the concept get it in front",
            named ? "標註缺觸發詞時自動加在最前" : "整個資料夾都沒有觸發詞時才加");
    }

    void regularisation() {
        const bool background = options_.goal == "background";
        if (options_.reg_data_dir.empty()) {
            if (background) {
                recipe_.advice.push_back(
                    {"a background is parted from figures by regularisation pictures: what both "
                     "show is strengthened, what only they show is split off (lora data crop makes "
                     "them)",
                     "背景 LoRA 可用正則化圖分離:兩邊共有的加強,只有 reg 有的分離(可用 lora data "
                     "crop 製作)"});
            } else if (images_ < kFewImages) {
                recipe_.advice.push_back(
                    {fmt::format("{} pictures are few: regularisation pictures may help to "
                                 "generalise (prior_loss_weight 0.3)",
                                 images_),
                     fmt::format("只有 {} 張圖片:可考慮正則化以提高泛化性(prior_loss_weight 0.3)",
                                 images_)});
            } else {
                recipe_.advice.push_back(
                    {fmt::format("{} pictures: no regularisation; it takes time and draws face and "
                                 "build towards itself",
                                 images_),
                     fmt::format("{} 張圖片:不建議使用正則化,會增加時間,臉型與身形會偏向 reg",
                                 images_)});
            }
            return;
        }
        add("reg_data_dir",
            options_.reg_data_dir,
            images_ >= kFewImages && !background
                ? fmt::format("with {} pictures it is not advised: what is special may stay "
                              "unlearnt, and time doubles",
                              images_)
                : std::string("few pictures, or a background to part: it may help"),
            images_ >= kFewImages && !background
                ? fmt::format("{} 張圖片時不建議:可能欠擬合,時間加倍", images_)
                : std::string("圖片少或要分離背景時有幫助"));
        add("prior_loss_weight",
            background ? "1" : "0.3",
            background ? "as much as training: the pairs are to be parted"
                       : "a light hand; 1 would be as much as training",
            background ? "與訓練集相同:用來分離" : "可考慮 0.3;1 表示與訓練集相同");
    }

    void background() {
        if (options_.goal == "background" || options_.goal == "style") return;
        if (images_ < kFewImages) {
            recipe_.advice.push_back(
                {fmt::format("{} pictures are few: figures roughly cut out (lora data cutout) keep "
                             "backgrounds from being learnt",
                             images_),
                 fmt::format("只有 {} 張圖片:建議大概摳圖(lora data cutout),以免背景被學進去",
                             images_)});
        } else {
            recipe_.advice.push_back(
                {fmt::format("with {} pictures backgrounds need no cutting out, but tags", images_),
                 fmt::format("{} 張圖片不摳圖影響較小,但背景要有標籤", images_)});
        }
    }

    const RecipeOptions& options_;
    const data::Dataset& dataset_;
    Recipe recipe_;
    std::string policy_;
    std::string algo_;
    int64_t images_ = 0;
    int64_t reg_images_ = 0;
    int64_t without_caption_ = 0;
    int64_t draws_ = 0;
};

}  // namespace

std::string Recipe::text(const std::string& option) const {
    for (const RecipeRow& row : rows) {
        if (row.option == option) return fmt::format("{}", fmt::join(row.words, " "));
    }
    return {};
}

Recipe make_recipe(const RecipeOptions& options, const data::Dataset& dataset) {
    return Writer(options, dataset).write();
}

int64_t advised_repeats(int64_t num_images) {
    const train::RepeatRange usual = train::usual_repeats(num_images);
    return (usual.low + usual.high) / 2;
}

std::vector<std::string> recipe_words(const Recipe& recipe) {
    std::vector<std::string> out;
    for (const RecipeRow& row : recipe.rows) {
        if (row.words.size() == 1) {
            out.push_back(fmt::format("--{}={}", row.option, row.words.front()));
            continue;
        }
        out.push_back("--" + row.option);
        out.insert(out.end(), row.words.begin(), row.words.end());
    }
    return out;
}

std::string recipe_toml(const std::vector<RecipeRow>& rows, bool zh) {
    std::string out = zh ? "# lora train --config_file 讀取此檔;不需要的行可刪。\n"
                         : "# For lora train --config_file; lines may be changed or deleted.\n";
    for (const RecipeRow& row : rows) {
        const OptionRow* known = find_option(Command::kTrain, row.option);
        const OptionType type = known != nullptr ? known->type : OptionType::kText;
        std::string value;
        if (type == OptionType::kList) {
            std::vector<std::string> words;
            for (const std::string& word : row.words) words.push_back(toml_text(word));
            value = fmt::format("[{}]", fmt::join(words, ", "));
        } else if (type == OptionType::kInt || type == OptionType::kFlag) {
            value = row.words.front();
        } else {
            value = toml_text(row.words.front());  // numbers as kohya writes them: 1e-4
        }
        std::string why = zh ? row.why.zh : row.why.en;
        for (char& c : why) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';  // names of folders
        }
        out += fmt::format("\n# {}\n{} = {}\n", why, row.option, value);
    }
    return out;
}

}  // namespace lora::config
