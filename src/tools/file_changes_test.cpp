// Journals: large files, odd names, folders that were made, and journals that somebody else wrote.
#include "tools/file_changes.h"

#include "base/error.h"
#include "tools/internal/test_folder.h"

namespace lora::tools {
namespace {

class FileChangesTest : public internal::FolderTest {};

TEST_F(FileChangesTest, LargeFilesAndNewFoldersComeBack) {
    const std::string large(300000, 'x');
    put("5_a/old.bin", large + "before");
    put("5_a/gone.bin", large);
    const auto before = every_byte();
    StagedChanges changes(folder_);
    changes.add(at("5_a/old.bin"), large + "after");
    changes.add(at("5_a/gone.bin"), std::nullopt);
    changes.add(at("5_new/deep/one.bin"), large);
    EXPECT_EQ(read_text_file(at("5_a/old.bin")), large + "before");  // nothing yet
    EXPECT_EQ(changes.commit(), 3);
    EXPECT_EQ(read_text_file(at("5_a/old.bin")), large + "after");
    EXPECT_EQ(read_text_file(at("5_new/deep/one.bin")), large);
    EXPECT_FALSE(path_exists(at("5_a/gone.bin")));
    EXPECT_EQ(undo_changes(folder_).restored, 3);
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(FileChangesTest, WithoutCommitNothingStays) {
    put("5_a/old.txt", "before");
    const auto before = every_byte();
    {
        StagedChanges changes(folder_);
        changes.add(at("5_a/old.txt"), "after");
        changes.add(at("5_b/new.txt"), std::string(100000, 'n'));
    }
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(FileChangesTest, SlashesAtTheEndAndInTheMiddle) {
    put("5_a/x.txt", "before");
    const auto before = every_byte();
    change_files(folder_ + "//", {{folder_ + "/./5_a//x.txt", "after"}});
    // The folder may be moved: the journal names files from the folder on.
    const std::string moved = folder_ + "_moved";
    remove_directory(moved);
    std::filesystem::rename(to_path(folder_), to_path(moved));
    EXPECT_EQ(undo_changes(moved).restored, 1);
    std::filesystem::rename(to_path(moved), to_path(folder_));
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(FileChangesTest, OddNames) {
    std::vector<std::string> names = {
        "5_a/-x.txt", "5_a/it's \"quoted\".txt", "5_a/\xE8\xB2\x93.txt"};
    if (std::filesystem::path::preferred_separator == '/') {
        names = {"5_a/-x.txt",
                 "5_a/it's \"quoted\".txt",
                 "5_a/new\nline.txt",
                 "5_a/back\\slash.txt",
                 "5_a/no utf8 \xff\xfe.txt",
                 "5_a/" + std::string(250, 'n') + ".txt"};
    }
    std::vector<FileChange> changes;
    for (const std::string& name : names) {
        put(name, "before");
        changes.push_back({at(name), "after"});
    }
    const auto before = every_byte();
    EXPECT_EQ(change_files(folder_, changes), std::ssize(names));
    for (const std::string& name : names) EXPECT_EQ(read_text_file(at(name)), "after") << name;
    EXPECT_EQ(undo_changes(folder_).restored, std::ssize(names));
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(FileChangesTest, JournalsThatLeadElsewhereAreRefused) {
    const std::string hash(64, 'a');
    for (const char* path : {"../x.txt", "5_a/../../x.txt", "/etc/passwd", "", "/opt/run.toml"}) {
        const std::string text =
            std::string(R"({"files": [{"path": ")") + path + R"(", "after": ")" + hash + "\"}]}";
        EXPECT_THROW((void)parse_journal(text, "j"), Error) << path;
    }
    for (const char* text : {"",
                             "[]",
                             "{}",
                             R"({"files": 1})",
                             R"({"files": [1]})",
                             R"({"files": [{"path": 1}]})",
                             R"({"files": [{"path": "a", "original": "../b"}]})",
                             R"({"files": [{"path": "a", "original": "b/c"}]})",
                             R"({"files": [], "folders": ["../x"]})",
                             R"({"files": [{"path_hex": "2e2e2f78"}]})",
                             R"({"files": [{"path_hex": "zz"}]})"}) {
        EXPECT_THROW((void)parse_journal(text, "j"), Error) << text;
    }
    const Journal read = parse_journal(
        R"({"files": [{"path": "5_a/x", "before": "b", "original": "0.original"},
                      {"path": "/opt/run.toml", "original": "1.original"}]})",
        "j");
    EXPECT_EQ(read.files.size(), 2U);
}

TEST_F(FileChangesTest, OnlySettingsMayLieElsewhere) {
    put("data/x.txt", "before");
    put("run.toml", "before");
    put("run.conf", "before");
    const auto before = every_byte();
    EXPECT_EQ(change_files(at("data"), {{at("data/x.txt"), "1"}, {at("run.toml"), "2"}}), 2);
    EXPECT_EQ(undo_changes(at("data")).restored, 2);
    EXPECT_THROW(change_files(at("data"), {{at("data/x.txt"), "1"}, {at("run.conf"), "2"}}), Error);
    EXPECT_THROW(change_files(at("data"), {{at("new.toml"), "1"}}), Error);
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(FileChangesTest, NothingIsWrittenThroughALink) {
    put("outside/x.txt", "after");
    put("data/.lora-undo/1/0.original", "before");
    std::error_code code;
    std::filesystem::create_directory_symlink(
        to_path(at("outside")), to_path(at("data/5_a")), code);
    if (code) GTEST_SKIP() << "no links here";
    change_files(at("outside"), {{at("outside/x.txt"), "now"}});  // for the hashes
    std::string text = read_text_file(at("outside/.lora-undo/1/journal.json"));
    text.replace(text.find("x.txt"), 5, "5_a/x.txt");
    put("data/.lora-undo/1/journal.json", text);
    EXPECT_EQ(undo_changes(at("data")).kept.size(), 1U);
    EXPECT_EQ(read_text_file(at("outside/x.txt")), "now");
}

TEST_F(FileChangesTest, ACopyThatIsGoneDeletesNothing) {
    put("x.txt", "before");
    change_files(folder_, {{at("x.txt"), "after"}});
    remove_file_if_exists(at(".lora-undo/1/0.original"));
    EXPECT_EQ(undo_changes(folder_).kept.size(), 1U);
    EXPECT_EQ(read_text_file(at("x.txt")), "after");
}

}  // namespace
}  // namespace lora::tools
