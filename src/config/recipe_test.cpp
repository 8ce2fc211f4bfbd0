// What the recipe says for small and large folders, goals, optimizers, ways to tag; and that lora
// train takes it.
#include "config/recipe.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "config/load.h"
#include "config/validate.h"

namespace lora::config {
namespace {

data::Dataset folders(const std::vector<std::pair<int64_t, int64_t>>& images_and_repeats,
                      bool captions = true) {
    data::Dataset out;
    for (const auto& [images, repeats] : images_and_repeats) {
        data::ConceptFolder folder;
        folder.name = std::to_string(repeats) + "_mika" + std::to_string(out.folders.size());
        folder.repeats = repeats;
        folder.num_images = images;
        folder.num_without_caption = captions ? 0 : images;
        out.folders.push_back(std::move(folder));
    }
    return out;
}

RecipeOptions options() {
    RecipeOptions out;
    out.train_data_dir = "train";
    return out;
}

TEST(Recipe, TheGuidesSizes) {
    const Recipe recipe = make_recipe(options(), folders({{40, 6}}));
    EXPECT_EQ(recipe.text("network_dim"), "32");       // M101
    EXPECT_EQ(recipe.text("network_alpha"), "16");     // M102
    EXPECT_EQ(recipe.text("train_batch_size"), "2");   // M103
    EXPECT_EQ(recipe.text("max_train_epochs"), "13");  // M130: 78 views
    EXPECT_EQ(recipe.text("keep_tokens"), "1");
    EXPECT_TRUE(recipe.folders.at(0).views_usual);
    EXPECT_EQ(recipe.folders.at(0).advised_repeats, 6);  // M134
    for (const RecipeRow& row : recipe.rows) {
        EXPECT_FALSE(row.why.en.empty()) << row.option;
        EXPECT_FALSE(row.why.zh.empty()) << row.option;
    }
}

TEST(Recipe, SmallFoldersAndBalance) {
    const Recipe small = make_recipe(options(), folders({{6, 5}}));
    EXPECT_GT(small.folders.at(0).advised_repeats, 15);  // M134: more for small sets
    const Recipe two = make_recipe(options(), folders({{40, 6}, {10, 6}}));
    EXPECT_NEAR(two.folders.at(1).share, 0.2, 1e-9);  // M135
    EXPECT_EQ(two.folders.at(1).advised_repeats, 24);
    EXPECT_EQ(two.folders.at(0).advised_repeats, 6);
}

TEST(Recipe, TheOptimizerAndTheTagsScaleTheLength) {
    RecipeOptions asked = options();
    const auto epochs = [&] {
        return std::stoi(make_recipe(asked, folders({{40, 5}})).text("max_train_epochs"));
    };
    const int usual = epochs();
    asked.optimizer_type = "DAdaptAdam";  // M139
    EXPECT_GE(epochs(), usual);
    EXPECT_LE(epochs(), 1.4 * usual);
    asked.optimizer_type = "AdamW";
    for (const char* policy : {"no_traits", "whitelist", "none"}) {  // M157
        asked.policy = policy;
        EXPECT_LT(epochs(), usual) << policy;
        EXPECT_GE(epochs() * 5, 50) << policy;
    }
    EXPECT_LT(std::stoi(make_recipe(options(), folders({{40, 5}}, false)).text("max_train_epochs")),
              usual);
}

TEST(Recipe, KeepTokensByTheTags) {
    RecipeOptions asked = options();
    asked.goal = "style";
    EXPECT_EQ(make_recipe(asked, folders({{40, 5}})).text("keep_tokens"), "0");
    asked.policy = "no_traits";  // M161
    EXPECT_EQ(make_recipe(asked, folders({{40, 5}})).text("keep_tokens"), "1");
    asked.policy = "none";
    EXPECT_EQ(make_recipe(asked, folders({{40, 5}})).text("keep_tokens"), "0");
}

TEST(Recipe, KindsOfNetwork) {
    RecipeOptions asked = options();
    asked.goal = "style";  // M140
    EXPECT_EQ(make_recipe(asked, folders({{40, 5}})).text("network_module"), "lycoris.kohya");
    EXPECT_EQ(make_recipe(asked, folders({{40, 5}})).text("network_dim"), "16");
    asked.algo = "loha";  // M141, M142
    EXPECT_EQ(make_recipe(asked, folders({{40, 5}})).text("network_dim"), "4");
}

TEST(Recipe, RegularisationByTheNumberOfPictures) {
    RecipeOptions asked = options();
    EXPECT_NE(make_recipe(asked, folders({{12, 5}})).advice.at(0).en.find("may help"),
              std::string::npos);
    EXPECT_NE(make_recipe(asked, folders({{40, 5}})).advice.at(0).en.find("no regularisation"),
              std::string::npos);  // M120
    asked.reg_data_dir = "reg";
    EXPECT_EQ(make_recipe(asked, folders({{12, 5}})).text("prior_loss_weight"), "0.3");  // M118
    asked.goal = "background";
    EXPECT_EQ(make_recipe(asked, folders({{12, 5}})).text("prior_loss_weight"), "1");  // M122
}

TEST(Recipe, CutOutsByTheNumberOfPictures) {
    EXPECT_NE(make_recipe(options(), folders({{12, 5}})).advice.at(1).en.find("cut out"),
              std::string::npos);  // M188
    EXPECT_NE(make_recipe(options(), folders({{40, 5}})).advice.at(1).en.find("no cutting"),
              std::string::npos);
    EXPECT_THROW((void)make_recipe(options(), folders({{0, 5}})), Error);
}

TEST(Recipe, TrainTakesIt) {
    for (const char* goal : {"character", "outfit", "style", "background"}) {
        for (const char* algo : {"", "lora", "locon", "loha"}) {
            for (const char* optimizer : {"AdamW", "DAdaptAdam", "Lion"}) {
                RecipeOptions asked = options();
                asked.goal = goal;
                asked.algo = algo;
                asked.optimizer_type = optimizer;
                asked.pretrained_model = "it's a \\ model.safetensors";
                asked.reg_data_dir = "-reg";
                const Recipe recipe = make_recipe(asked, folders({{40, 5}}));
                const Loaded loaded = load(Command::kTrain, recipe_words(recipe));
                EXPECT_FALSE(has_errors(loaded.findings));
                EXPECT_FALSE(has_errors(validate_train(loaded.settings)));
                // The file says the same.
                for (const bool zh : {false, true}) {
                    const auto values = parse_config_text(recipe_toml(recipe.rows, zh), "recipe");
                    ASSERT_EQ(values.size(), recipe.rows.size());
                    for (size_t i = 0; i < values.size(); ++i) {
                        EXPECT_EQ(values[i].name, recipe.rows[i].option);
                        EXPECT_EQ(values[i].words, recipe.rows[i].words);
                    }
                }
            }
        }
    }
}

TEST(Recipe, NamesCannotLeaveTheirComment) {
    data::Dataset dataset = folders({{40, 6}});
    dataset.folders[0].name = "6_a\nmax_train_epochs = 999\n#";
    dataset.folders.push_back(dataset.folders[0]);
    dataset.folders[1].num_images = 4;
    RecipeOptions asked = options();
    asked.train_data_dir = "a\nb\x01'c";
    const Recipe recipe = make_recipe(asked, dataset);
    const auto values = parse_config_text(recipe_toml(recipe.rows, false), "recipe");
    ASSERT_EQ(values.size(), recipe.rows.size());
    EXPECT_EQ(values[0].words.at(0), asked.train_data_dir);
}

}  // namespace
}  // namespace lora::config
