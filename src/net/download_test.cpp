#include "net/download.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "net/internal/http.h"

namespace lora::net {
namespace {

TEST(FileNameOfUrl, IsTheLastPartAndSafe) {
    EXPECT_EQ(file_name_of_url("https://a.b/c/model.safetensors"), "model.safetensors");
    EXPECT_EQ(file_name_of_url("https://a.b/c/model.onnx?download=true#x"), "model.onnx");
    EXPECT_EQ(file_name_of_url("https://a.b/%E6%A8%A1%20x.bin"), "\xE6\xA8\xA1 x.bin");
    EXPECT_EQ(file_name_of_url("https://a.b/..%2f..%2Fetc"), ".._.._etc");
    EXPECT_EQ(file_name_of_url("https://a.b/c:d*e%00f"), "c_d_e_f");
    EXPECT_EQ(file_name_of_url("https://a.b/x. ."), "x");
    EXPECT_EQ(file_name_of_url("https://a.b/100%"), "100%");
    for (const char* none :
         {"https://a.b", "https://a.b/", "https://a.b/..", "https://a.b/%2e", ""}) {
        EXPECT_THROW(static_cast<void>(file_name_of_url(none)), Error) << none;
    }
}

TEST(HeaderLines, BelongToTheLastAnswer) {
    HttpHead head;
    take_header_line("HTTP/1.1 302 Found\r\n", head);
    take_header_line("X-Linked-ETag: \"ab\"\r\n", head);
    take_header_line("Content-Length: 12\r\n", head);
    take_header_line("ETag: \"first\"\r\n", head);
    EXPECT_EQ(head.status, 302);
    take_header_line("HTTP/2 206\r\n", head);
    take_header_line("content-range:bytes 1-2/3\r\n", head);
    take_header_line("CONTENT-LENGTH:  2 \r\n", head);
    take_header_line("no colon\r\n", head);
    take_header_line("\r\n", head);
    EXPECT_EQ(head.status, 206);
    EXPECT_EQ(head.content_length, 2U);
    EXPECT_EQ(head.content_range, "bytes 1-2/3");
    EXPECT_EQ(head.etag, "");
    EXPECT_EQ(head.linked_etag, "\"ab\"");
    take_header_line("Content-Length: -1", head);
    EXPECT_FALSE(head.content_length.has_value());
    take_header_line("HTTP/1.1", head);
    EXPECT_EQ(head.status, 0);
}

TEST(Download, RefusesWhatIsNoAddress) {
    for (const char* url : {"", "file:///etc/passwd", "ftp://a.b/c", "c.bin"}) {
        EXPECT_THROW(static_cast<void>(download({.url = url, .path = "x"})), Error) << url;
    }
}

}  // namespace
}  // namespace lora::net
