#include "base/file.h"

#include <fstream>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/error.h"

#ifndef _WIN32
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace lora {
namespace {

const std::string kChineseName =
    "\xE4\xB8\xAD\xE6\x96\x87 \xE7\x9B\xAE\xE9\x8C\x84";  // with a space

// A folder of its own for each test, removed afterwards.
class FileTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        folder_ = join_path(from_path(std::filesystem::temp_directory_path()),
                            std::string("lora_file_test ") + info->name());
        remove_directory(folder_);
        make_directories(folder_);
    }
    void TearDown() override { remove_directory(folder_); }

    [[nodiscard]] std::string path(std::string_view name) const { return join_path(folder_, name); }
    [[nodiscard]] size_t num_entries() const { return list_directory(folder_).size(); }

    std::string folder_;
};

template <typename Fn>
std::optional<ErrorCode> code_of(Fn&& fn) {
    try {
        fn();
    } catch (const Error& error) {
        return error.code();
    }
    return std::nullopt;
}

TEST(Path, TakesPathsApart) {
    EXPECT_EQ(base_name("a/b.txt"), "b.txt");
    EXPECT_EQ(base_name("a\\b.txt"), "b.txt");
    EXPECT_EQ(base_name("a/b/"), "b");
    EXPECT_EQ(base_name("b"), "b");
    EXPECT_EQ(parent_path("a/b/c.txt"), "a/b");
    EXPECT_EQ(parent_path("a/b/"), "a");
    EXPECT_EQ(parent_path("c.txt"), "");
    EXPECT_EQ(parent_path("/c.txt"), "/");
    EXPECT_EQ(parent_path("C:\\c.txt"), "C:\\");
    EXPECT_EQ(extension("a.b/c"), "");
    EXPECT_EQ(extension("a/c.tar.gz"), ".gz");
    EXPECT_EQ(extension(".hidden"), "");
    EXPECT_EQ(extension(".."), "");
    EXPECT_EQ(without_extension("a.b/c.png"), "a.b/c");
    EXPECT_EQ(without_extension("a.b/c"), "a.b/c");
    EXPECT_EQ(join_path("a", "b"), "a/b");
    EXPECT_EQ(join_path("a/", "b"), "a/b");
    EXPECT_EQ(join_path("", "b"), "b");
}

TEST_F(FileTest, WritesAndReadsBack) {
    const std::string text = std::string("a\0b\r\n\xFF", 6);
    write_file_atomically(path("a.bin"), text);
    EXPECT_EQ(read_text_file(path("a.bin")), text);
    EXPECT_EQ(read_binary_file(path("a.bin")).size(), 6U);
    EXPECT_EQ(file_size_bytes(path("a.bin")), 6U);
    EXPECT_EQ(num_entries(), 1U);
    write_file_atomically(path("a.bin"), std::string_view("new"));
    EXPECT_EQ(read_text_file(path("a.bin")), "new");
    remove_file_if_exists(path("a.bin"));
    remove_file_if_exists(path("a.bin"));
    EXPECT_FALSE(path_exists(path("a.bin")));
}

TEST_F(FileTest, ManySmallWritesArriveInOrder) {
    std::string expected;
    AtomicFile file(path("big"));
    for (int i = 0; i < 100000; ++i) {
        const std::string piece =
            std::to_string(i) + (i % 7000 == 0 ? std::string(300000, 'x') : ",");
        expected += piece;
        file.write(piece);
    }
    file.commit();
    EXPECT_EQ(read_text_file(path("big")), expected);
}

TEST_F(FileTest, ChineseNamesAndSpacesWork) {
    const std::string deep = path(join_path(kChineseName, kChineseName));
    make_directories(deep);
    const std::string file = join_path(deep, kChineseName + ".txt");
    write_file_atomically(file, std::string_view("x"));
    const auto entries = list_directory(deep);
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].name, kChineseName + ".txt");
    EXPECT_EQ(entries[0].size_bytes, 1U);
    EXPECT_FALSE(entries[0].is_directory);
    EXPECT_EQ(MappedFile(file).bytes().size(), 1U);
    EXPECT_TRUE(std::filesystem::exists(to_path(file)));
    EXPECT_EQ(base_name(from_path(to_path(file))), kChineseName + ".txt");
}

TEST_F(FileTest, PathsOf300CharactersWork) {
    std::string deep = folder_;
    while (deep.size() < 400) deep = join_path(deep, std::string(60, 'd'));
    make_directories(deep);
    make_directories(deep);
    const std::string file = join_path(deep, std::string(120, 'f') + ".txt");
    write_file_atomically(file, std::string_view("long"));
    EXPECT_EQ(read_text_file(file), "long");
    EXPECT_EQ(MappedFile(file).bytes().size(), 4U);
    EXPECT_EQ(list_directory(deep).size(), 1U);
    std::ofstream(to_path(join_path(deep, "std.txt"))) << "x";
    EXPECT_TRUE(path_exists(join_path(deep, "std.txt")));
    replace_directory(deep, deep + "2");
    EXPECT_TRUE(is_directory(deep + "2"));
}

TEST_F(FileTest, NamesAsLongAsTheSystemAllowsCanBeWritten) {
    std::string name;
    while (name.size() + 3 <= 240)
        name += "\xE4\xB8\xAD";  // the temporary name is cut between characters
    write_file_atomically(path(name), std::string_view("x"));
    ASSERT_EQ(num_entries(), 1U);
    EXPECT_EQ(list_directory(folder_)[0].name, name);
}

TEST_F(FileTest, TemporaryNamesTellTheirTarget) {
    for (const std::string& name : {std::string("a.txt"), std::string(249, 'n'), kChineseName}) {
        const AtomicFile file(path(name));
        ASSERT_EQ(num_entries(), 1U);
        const std::string begun = list_directory(folder_)[0].name;
        EXPECT_TRUE(is_temporary_of(begun, name)) << begun;
        EXPECT_FALSE(is_temporary_of(begun, "x" + name)) << begun;
        EXPECT_FALSE(is_temporary_of(name, name)) << name;
    }
}

TEST_F(FileTest, WithoutCommitTheTargetStaysAsItWas) {
    write_file_atomically(path("a"), std::string_view("old"));
    {
        AtomicFile file(path("a"));
        file.write(std::string_view("new"));
        file.write(std::string(1 << 20, 'x'));
        EXPECT_EQ(num_entries(), 2U);
        EXPECT_EQ(list_directory(folder_)[1].name.find("a.tmp-"), 0U);
        EXPECT_EQ(read_text_file(path("a")), "old");
    }
    EXPECT_EQ(read_text_file(path("a")), "old");
    EXPECT_EQ(num_entries(), 1U);
}

TEST_F(FileTest, ErrorsNameThePath) {
    try {
        static_cast<void>(read_text_file(path("absent")));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kIo);
        EXPECT_NE(error.message().find("absent"), std::string::npos);
    }
    EXPECT_EQ(code_of([&] { MappedFile(path("absent")); }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { MappedFile{folder_}; }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { static_cast<void>(read_text_file(folder_)); }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { static_cast<void>(list_directory(path("absent"))); }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { static_cast<void>(file_size_bytes(path("absent"))); }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { AtomicFile{path("absent/x")}; }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { AtomicFile{folder_}; }), ErrorCode::kIo);
    write_file_atomically(path("file"), std::string_view("x"));
    EXPECT_EQ(code_of([&] { make_directories(path("file")); }), ErrorCode::kIo);
    EXPECT_EQ(code_of([&] { make_directories(path("file/below")); }), ErrorCode::kIo);
}

TEST_F(FileTest, MapsAndReleases) {
    const std::string text(100000, 'm');
    write_file_atomically(path("m"), text);
    MappedFile file(path("m"));
    file.release_pages(1, 50000);
    file.release_pages(0, SIZE_MAX);
    file.release_pages(200000, 5);
    MappedFile moved = std::move(file);
    EXPECT_EQ(moved.bytes().size(), text.size());
    EXPECT_EQ(static_cast<char>(moved.bytes()[99999]), 'm');
    write_file_atomically(path("empty"), std::string_view(""));
    EXPECT_TRUE(MappedFile(path("empty")).bytes().empty());
    EXPECT_TRUE(read_text_file(path("empty")).empty());
}

TEST_F(FileTest, ListsSortedAndReplacesFolders) {
    for (const char* name : {"b", "a", "B", "c.txt"})
        write_file_atomically(path(name), std::string_view(""));
    make_directories(path("d/e"));
    const auto entries = list_directory(folder_);
#ifndef _WIN32
    ASSERT_EQ(entries.size(), 5U);
    EXPECT_EQ(entries[0].name, "B");
#endif
    EXPECT_TRUE(entries.back().is_directory);
    write_file_atomically(path("d/new"), std::string_view(""));
    make_directories(path("old/x"));
    replace_directory(path("d"), path("old"));
    EXPECT_FALSE(path_exists(path("d")));
    EXPECT_TRUE(path_exists(path("old/new")));
    EXPECT_FALSE(path_exists(path("old/x")));
    for (const DirectoryEntry& entry : list_directory(folder_)) {
        EXPECT_EQ(entry.name.find(".tmp-"), std::string::npos);
    }
    remove_directory(path("old"));
    remove_directory(path("old"));
    EXPECT_FALSE(path_exists(path("old")));
}

TEST(ProgramFolder, HoldsTheProgram) { EXPECT_TRUE(is_directory(program_folder())); }

#ifndef _WIN32

// The system refuses to let files grow, as on a full disk.
TEST_F(FileTest, AFailedWriteLeavesTheOldFile) {
    write_file_atomically(path("a"), std::string_view("old"));
    const auto previous = ::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    rlimit limited = before;
    limited.rlim_cur = 64 * 1024;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
    const auto code = code_of([&] { write_file_atomically(path("a"), std::string(1 << 20, 'x')); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    ::signal(SIGXFSZ, previous);
    EXPECT_EQ(code, ErrorCode::kIo);
    EXPECT_EQ(read_text_file(path("a")), "old");
    EXPECT_EQ(num_entries(), 1U);
}

TEST_F(FileTest, AFullDiskLeavesTheOldFile) {
    const std::string disk = path("disk");
    make_directories(disk);
    if (::mount("none", disk.c_str(), "tmpfs", 0, "size=128k") != 0)
        GTEST_SKIP() << "may not mount a tmpfs";
    const std::string target = join_path(disk, "a");
    write_file_atomically(target, std::string_view("old"));
    std::string hint;
    try {
        write_file_atomically(target, std::string(1 << 20, 'x'));
    } catch (const Error& error) {
        hint = error.hint();
    }
    EXPECT_EQ(read_text_file(target), "old");
    EXPECT_EQ(list_directory(disk).size(), 1U);
    ::umount(disk.c_str());
    EXPECT_NE(hint.find("space"), std::string::npos);
}

TEST_F(FileTest, BrokenLinksAreLeftOut) {
    std::filesystem::create_symlink("nowhere", to_path(path("link")));
    EXPECT_EQ(num_entries(), 0U);
}

TEST_F(FileTest, ReadsFilesWithoutASize) {
    EXPECT_FALSE(read_text_file("/proc/self/stat").empty());
}

#endif

}  // namespace
}  // namespace lora
