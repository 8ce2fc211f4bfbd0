// A recipe for a training run from what is in the folder and what is wanted: values of `lora train`
// options, each with the guide's reason beside it. Not the plan itself (train/training_run.h): no
// buckets, steps, memory.
// Threads  pure.
// Source   the guide (requirements M101 to M103, M118 to M122, M130, M134, M135, M139 to M143,
// M157,
//          M161, M188). Where the guide names a range, the choice inside it is ours and said so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lora::config {

struct RecipeOptions {
    std::string goal = "character";  // outfit, style, background
    std::string optimizer_type = "AdamW";
    std::string algo = {};    // lora, locon, loha; empty: what suits the goal
    std::string policy = {};  // of the tags: full, no_traits, whitelist, none; empty:
                              // full, or none where there are no captions
    int64_t train_batch_size = 2;
    bool batch_by_memory = false;  // it was chosen by what fits
    int64_t network_dim = 0;       // 0: what suits
    std::string resolution = "512";
    std::string pretrained_model = {};  // may be empty
    std::string train_data_dir = {};
    std::string reg_data_dir = {};  // may be empty
    std::string output_name = {};   // empty: none is written
};

// A sentence in both languages of the program.
struct Reason {
    std::string en;
    std::string zh;
};

struct RecipeRow {
    std::string option;              // of lora train
    std::vector<std::string> words;  // its value
    Reason why;
};

struct RecipeFolder {
    std::string name;
    int64_t images = 0;
    int64_t repeats = 0;          // as the folder's name says
    int64_t advised_repeats = 0;  // the same when there is no reason to change
    int64_t views = 0;            // repeats times epochs
    bool views_usual = false;
    double share = 0;  // of an epoch
    Reason why;        // of the advised repeats
};

struct Recipe {
    std::vector<RecipeRow> rows;
    std::vector<RecipeFolder> folders;  // those that are trained
    std::vector<Reason> advice;         // beyond the settings
    int64_t low_views = 0;              // what is usual
    int64_t high_views = 0;

    // The words of one option; empty when the recipe leaves it alone.
    [[nodiscard]] std::string text(const std::string& option) const;
};

// Errors  kData: the folders hold nothing to train.
[[nodiscard]] Recipe make_recipe(const RecipeOptions& options, const data::Dataset& dataset);

// Repeats in the middle of what is usual for so many pictures.
[[nodiscard]] int64_t advised_repeats(int64_t num_images);

// The recipe as words of the command line of lora train, and as a file for --config_file with the
// reasons as comments.
[[nodiscard]] std::vector<std::string> recipe_words(const Recipe& recipe);
[[nodiscard]] std::string recipe_toml(const std::vector<RecipeRow>& rows, bool zh);

}  // namespace lora::config
