#include "tools/change_log.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace lora::tools {
namespace {

class ChangeLogTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "change_log";
        remove_directory(folder_);
        make_directories(folder_);
        put("a", "old a");
        put("b", "old b");
    }
    void put(const std::string& name, const std::string& text) const {
        write_file_atomically(join_path(folder_, name), text);
    }
    [[nodiscard]] std::string get(const std::string& name) const {
        return read_text_file(join_path(folder_, name));
    }
    [[nodiscard]] FileChange change(const std::string& name, const std::string& text) const {
        return {join_path(folder_, name), text};
    }

    std::string folder_;
};

TEST_F(ChangeLogTest, PortionsAreUndoneTogether) {
    ChangeLog log(folder_, "work");
    EXPECT_EQ(log.apply({change("a", "new a"), change("c", "new c")}), 2);
    EXPECT_EQ(log.apply({change("b", "new b"), change("a", "new a")}), 1);
    log.finish();
    EXPECT_EQ(undo_changes(folder_).restored, 3);
    EXPECT_EQ(get("a"), "old a");
    EXPECT_EQ(get("b"), "old b");
    EXPECT_FALSE(path_exists(join_path(folder_, "c")));
    EXPECT_FALSE(path_exists(join_path(folder_, kUndoFolder)));
}

TEST_F(ChangeLogTest, AnUnfinishedRunIsContinued) {
    ChangeLog(folder_, "work").apply({change("a", "new a")});
    EXPECT_FALSE(ChangeLog(folder_, "other").has_written(join_path(folder_, "a")));
    ChangeLog log(folder_, "work");
    EXPECT_TRUE(log.has_written(join_path(folder_, "a")));
    EXPECT_FALSE(log.has_written(join_path(folder_, "b")));
    log.apply({change("b", "new b")});
    log.finish();
    EXPECT_FALSE(
        ChangeLog(folder_, "work").has_written(join_path(folder_, "a")));  // it was finished
    EXPECT_EQ(undo_changes(folder_).restored, 2);
    EXPECT_EQ(get("a"), "old a");
}

TEST_F(ChangeLogTest, WorkOfOthersIsNotContinuedOver) {
    ChangeLog(folder_, "work").apply({change("a", "new a"), change("b", "new b")});
    put("b", "mine");
    ChangeLog log(folder_, "work");
    EXPECT_FALSE(log.has_written(join_path(folder_, "a")));
    log.apply({change("b", "newer b")});
    EXPECT_EQ(undo_changes(folder_).restored, 1);
    EXPECT_EQ(get("b"), "mine");
}

TEST_F(ChangeLogTest, AFileThatWasNeverReachedKeepsItsOriginal) {
    ChangeLog(folder_, "work").apply({change("a", "new a"), change("b", "new b")});
    put("b", "old b");  // as if the run had been killed before it
    ChangeLog log(folder_, "work");
    EXPECT_FALSE(log.has_written(join_path(folder_, "b")));
    log.apply({change("b", "later b")});
    EXPECT_EQ(undo_changes(folder_).restored, 2);
    EXPECT_EQ(get("b"), "old b");
}

}  // namespace
}  // namespace lora::tools
