// Tags pictures with a WD14 model: reads the model's contract, prepares pictures as it was trained,
// and writes caption files so that a run may be killed, continued and taken back.
// Not here: which tags become a caption (tagger_choice.h), the network (infer/onnx_session.h).
// Errors   kIo, kFormat for models; pictures that cannot be read are told and passed over.
// Threads  one run at a time for a folder.
// Source   published WD14 models: one input of floats, BGR, 0 to 255, [N, H, W, 3] or [N, 3, H, W];
//          one output, [N, tags], sigmoid applied. sd-scripts' way with pictures: padded with white
//          to a square, then exact area average or Pillow's Lanczos.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "infer/onnx_session.h"
#include "io/image_codec.h"
#include "tools/picture_input.h"
#include "tools/tagger_choice.h"

namespace lora::tools {

enum class PixelRange : uint8_t { kBytes, kUnit, kSigned };  // 0..255, 0..1, -1..1

struct TaggerModelOptions {
    std::string model = {};     // model.onnx or the folder that holds it
    std::string tags_csv = {};  // empty: selected_tags.csv beside the model
    infer::OnnxOptions runtime = {};
    bool is_rgb = false;  // what the network wants; published ones: BGR
    PixelRange range = PixelRange::kBytes;
    bool apply_exif = true;  // turn pictures as viewers do; sd-scripts does not
};

class TaggerModel {
public:
    explicit TaggerModel(const TaggerModelOptions& options);

    [[nodiscard]] const std::vector<TaggerTag>& tags() const { return tags_; }
    [[nodiscard]] int64_t side_px() const { return input_.side_px; }
    [[nodiscard]] bool is_nchw() const { return input_.is_nchw; }
    // 0: any.
    [[nodiscard]] int64_t fixed_batch() const { return input_.batch; }
    [[nodiscard]] const infer::OnnxSession& session() const { return session_; }

    // Numbers that a picture has for the network.
    [[nodiscard]] size_t input_size() const;
    // Pads, resizes and writes one picture into `out`, input_size() numbers. Threads  pure.
    void prepare(const io::Image& picture, std::span<float> out) const;
    // Scores of `count` prepared pictures, one row of tags().size() each. Models with a fixed batch
    // take several turns. Errors  kNumeric when a score is not between 0 and 1.
    [[nodiscard]] std::vector<std::vector<float>> scores(std::span<const float> pictures,
                                                         int64_t count);
    [[nodiscard]] io::Image read(const std::string& path) const;

private:
    void read_contract(const std::string& path);
    void run_batch(std::span<const float> pictures,
                   int64_t count,
                   std::vector<std::vector<float>>& out);

    TaggerModelOptions options_;
    infer::OnnxSession session_;
    std::vector<TaggerTag> tags_;
    PictureInput input_;
};

struct TaggedPicture {
    std::string path;
    std::string caption_path;
    std::string caption;  // as written, or as it would be
    std::vector<ChosenTag> tags;
    std::vector<float> scores;  // of every tag of the model
};

struct TagRunOptions {
    std::string folder = {};
    bool recursive = false;
    std::string caption_extension = ".txt";
    std::string output_dir = {};  // empty: beside the pictures
    std::string name_pattern = "[name].[output_extension]";
    OnConflict on_conflict = OnConflict::kIgnore;
    int64_t batch_size = 4;
    bool folder_trigger = false;  // the concept's trigger of "<repeats>_<concept>" goes first
    bool save_json = false;       // every score, beside the caption
    bool dry_run = false;
    std::string settings = {};  // names the run: one that was cut off continues only with the same
    std::function<void(int64_t done, int64_t total)> progress = {};
    std::function<void(const TaggedPicture&)> tagged = {};
    std::stop_token stop = {};
};

struct TagReport {
    int64_t pictures = 0;
    int64_t tagged = 0;   // captions written, or that would be
    int64_t skipped = 0;  // have a caption already, or one from the run that is continued
    int64_t without_tags = 0;
    std::vector<std::string> failed;  // pictures that could not be read
};

// Errors  kCancelled when stopped; what was tagged until then is written.
TagReport tag_folder(TaggerModel& model, const TagChooser& chooser, const TagRunOptions& options);

}  // namespace lora::tools
