#include "io/internal/pickle.h"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"

namespace lora::io::internal {
namespace {

// A model of a thousand tensors makes some ten thousand values; more than this is an attack.
constexpr size_t kMaxValues = 4'000'000;
constexpr size_t kMaxStringBytes = 64'000'000;  // of all strings together

[[noreturn]] void fail(std::string text) {
    throw Error(ErrorCode::kFormat, "the pickle in it is damaged: " + std::move(text));
}

class Machine {
public:
    explicit Machine(std::span<const std::byte> bytes) : bytes_(bytes) {}

    Unpickled run() {
        while (true) {
            const uint8_t op = u8();
            if (op == '.') break;
            step(op);
        }
        const PickleRef result = pop();
        return {std::move(values_), result, at_};
    }

private:
    // Reading.
    std::span<const std::byte> take(size_t size) {
        if (size > bytes_.size() - at_) fail("it ends in the middle");
        const auto part = bytes_.subspan(at_, size);
        at_ += size;
        return part;
    }
    uint8_t u8() { return std::to_integer<uint8_t>(take(1)[0]); }
    uint64_t little(size_t size) {
        uint64_t value = 0;
        const auto part = take(size);
        for (size_t i = size; i > 0; --i) {
            value = value << 8U | std::to_integer<uint64_t>(part[i - 1]);
        }
        return value;
    }
    std::string text(uint64_t size) {
        if (size > bytes_.size()) fail("a string is longer than the file");
        string_bytes_ += size;
        if (string_bytes_ > kMaxStringBytes) fail("its strings are too long");
        const auto part = take(size);
        return {reinterpret_cast<const char*>(part.data()), part.size()};
    }
    std::string line() {
        std::string out;
        for (char c = static_cast<char>(u8()); c != '\n'; c = static_cast<char>(u8())) {
            out += c;
            if (++string_bytes_ > kMaxStringBytes) fail("its strings are too long");
        }
        return out;
    }
    int64_t line_integer() {
        std::string word = line();
        if (!word.empty() && word.back() == 'L') word.pop_back();
        const std::optional<int64_t> value = parse_number<int64_t>(word);
        if (!value) fail("no integer");
        return *value;
    }

    // The stack.
    template <typename T>
    void push(T data) {
        push_ref(make(std::move(data)));
    }
    template <typename T>
    PickleRef make(T data) {
        if (values_.size() >= kMaxValues) fail("it holds too many values");
        return &values_.emplace_back(PickleValue{std::move(data)});
    }
    void push_ref(PickleRef ref) {
        if (stack_.size() >= kMaxValues) fail("it holds too many values");
        stack_.push_back(ref);
    }
    PickleRef pop() {
        const size_t floor = marks_.empty() ? 0 : marks_.back();
        if (stack_.size() <= floor) fail("a value is missing");
        const PickleRef top = stack_.back();
        stack_.pop_back();
        return top;
    }
    PickleRef top() {
        if (stack_.empty()) fail("a value is missing");
        return stack_.back();
    }
    std::vector<PickleRef> pop_to_mark() {
        if (marks_.empty()) fail("a mark is missing");
        const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<PickleRef> items(begin, stack_.end());
        stack_.erase(begin, stack_.end());
        marks_.pop_back();
        return items;
    }
    void remember(uint64_t index) { memo_[index] = top(); }
    void recall(uint64_t index) {
        const auto found = memo_.find(index);
        if (found == memo_.end()) fail("an unknown reference");
        push_ref(found->second);
    }

    void push_tuple(size_t size) {
        std::vector<PickleRef> items(size);
        for (size_t i = size; i > 0; --i) items[i - 1] = pop();
        push(PickleList{std::move(items)});
    }
    void append(const std::vector<PickleRef>& items) {
        if (auto* list = std::get_if<PickleList>(&top()->data)) {
            list->items.insert(list->items.end(), items.begin(), items.end());
        }  // an object that takes items by itself: not looked at
    }
    void set_items(const std::vector<PickleRef>& items) {
        if (items.size() % 2 != 0) fail("a key without value");
        PickleDict* dict = std::get_if<PickleDict>(&top()->data);
        if (auto* call = std::get_if<PickleCall>(&top()->data)) dict = &call->items;
        if (dict == nullptr) fail("items for something that is no dictionary");
        for (size_t i = 0; i < items.size(); i += 2) {
            dict->items.emplace_back(items[i], items[i + 1]);
        }
    }
    static std::string name_of(PickleRef callable) {
        const auto* global = std::get_if<PickleGlobal>(&callable->data);
        if (global == nullptr) fail("a call of something without a name");
        return global->name;
    }
    void call() {
        const PickleRef args = pop();
        if (!std::holds_alternative<PickleList>(args->data)) fail("arguments that are no tuple");
        std::string name = name_of(pop());
        push(PickleCall{std::move(name), args, {}});
    }
    void call_with(std::string name, std::vector<PickleRef> items) {
        const PickleRef args = make(PickleList{std::move(items)});
        push(PickleCall{std::move(name), args, {}});
    }
    void push_long(size_t size) {
        // Larger integers name nothing here; the low 64 bits tell legacy files' magic number apart.
        const auto part = take(size);
        uint64_t value =
            size > 0 && (std::to_integer<unsigned>(part[size - 1]) & 0x80U) != 0 ? ~uint64_t{0} : 0;
        for (size_t i = std::min<size_t>(size, 8); i > 0; --i) {
            value = value << 8U | std::to_integer<uint64_t>(part[i - 1]);
        }
        push(static_cast<int64_t>(value));
    }

    void step(uint8_t op) {
        switch (op) {
            case 0x80: u8(); return;                            // PROTO
            case 0x95: (void)little(8); return;                 // FRAME
            case '(': marks_.push_back(stack_.size()); return;  // MARK
            case '0':                                           // POP
                if (!marks_.empty() && marks_.back() == stack_.size()) {
                    marks_.pop_back();
                } else {
                    (void)pop();
                }
                return;
            case '1': (void)pop_to_mark(); return;  // POP_MARK
            case '2': push_ref(top()); return;      // DUP
            case 'N': push(PickleNone{}); return;
            case 0x88: push(true); return;
            case 0x89: push(false); return;
            default: break;
        }
        if (number(op) || string(op) || container(op) || reference(op)) return;
        fail(fmt::format("opcode 0x{:02x} is not read here", op));
    }

    bool number(uint8_t op) {
        switch (op) {
            case 'I': {
                const std::string word = line();
                if (word == "00" || word == "01") {
                    push(word == "01");
                } else {
                    at_ -= word.size() + 1;
                    push(line_integer());
                }
                return true;
            }
            case 'L': push(line_integer()); return true;
            case 'J': push(static_cast<int64_t>(static_cast<int32_t>(little(4)))); return true;
            case 'K': push(static_cast<int64_t>(little(1))); return true;
            case 'M': push(static_cast<int64_t>(little(2))); return true;
            case 0x8a: push_long(u8()); return true;
            case 0x8b: push_long(little(4)); return true;
            case 'F': {
                const std::optional<double> value = parse_number<double>(line());
                if (!value) fail("no number");
                push(*value);
                return true;
            }
            case 'G': {
                uint64_t bits = 0;
                for (const std::byte b : take(8)) bits = bits << 8U | std::to_integer<uint64_t>(b);
                push(std::bit_cast<double>(bits));
                return true;
            }
            default: return false;
        }
    }

    bool string(uint8_t op) {
        switch (op) {
            case 'S': {  // a Python literal in quotes
                std::string word = line();
                if (word.size() >= 2) word = word.substr(1, word.size() - 2);
                push(std::move(word));
                return true;
            }
            case 'V': push(line()); return true;
            case 'T':
            case 'B':
            case 'X': push(text(little(4))); return true;
            case 'U':
            case 'C':
            case 0x8c: push(text(little(1))); return true;
            case 0x8d:
            case 0x8e:
            case 0x96: push(text(little(8))); return true;
            default: return false;
        }
    }

    bool container(uint8_t op) {
        switch (op) {
            case ']':
            case ')':
            case 0x8f: push(PickleList{}); return true;  // 8f: EMPTY_SET
            case '}': push(PickleDict{}); return true;
            case 'l':
            case 't':
            case 0x91: push(PickleList{pop_to_mark()}); return true;
            case 0x85: push_tuple(1); return true;
            case 0x86: push_tuple(2); return true;
            case 0x87: push_tuple(3); return true;
            case 'a': {
                const PickleRef item = pop();
                append({item});
                return true;
            }
            case 'e':
            case 0x90: append(pop_to_mark()); return true;
            case 'd': {
                const std::vector<PickleRef> items = pop_to_mark();
                push(PickleDict{});
                set_items(items);
                return true;
            }
            case 's': {
                const PickleRef value = pop();
                const PickleRef key = pop();
                set_items({key, value});
                return true;
            }
            case 'u': set_items(pop_to_mark()); return true;
            default: return false;
        }
    }

    bool reference(uint8_t op) {
        switch (op) {
            case 'p': remember(static_cast<uint64_t>(line_integer())); return true;
            case 'q': remember(little(1)); return true;
            case 'r': remember(little(4)); return true;
            case 0x94: remember(memo_.size()); return true;  // MEMOIZE
            case 'g': recall(static_cast<uint64_t>(line_integer())); return true;
            case 'h': recall(little(1)); return true;
            case 'j': recall(little(4)); return true;
            case 'c': {
                const std::string module = line();
                push(PickleGlobal{module + "." + line()});
                return true;
            }
            case 0x93: {  // STACK_GLOBAL
                const PickleRef name = pop();
                const PickleRef module = pop();
                const auto* a = std::get_if<std::string>(&module->data);
                const auto* b = std::get_if<std::string>(&name->data);
                if (a == nullptr || b == nullptr) fail("a name that is no text");
                push(PickleGlobal{*a + "." + *b});
                return true;
            }
            case 'R':
            case 0x81: call(); return true;  // REDUCE, NEWOBJ
            case 0x92: {                     // NEWOBJ_EX: keyword arguments are not looked at
                (void)pop();
                call();
                return true;
            }
            case 'i': {
                const std::string module = line();
                const std::string name = module + "." + line();
                call_with(name, pop_to_mark());
                return true;
            }
            case 'o': {
                std::vector<PickleRef> items = pop_to_mark();
                if (items.empty()) fail("an object without a class");
                std::string name = name_of(items.front());
                items.erase(items.begin());
                call_with(std::move(name), std::move(items));
                return true;
            }
            case 'b': (void)pop(); return true;  // BUILD: the state is not looked at
            case 'P': push(PickleStorage{make(line())}); return true;
            case 'Q': {
                const PickleRef id = pop();
                push(PickleStorage{id});
                return true;
            }
            default: return false;
        }
    }

    std::span<const std::byte> bytes_;
    size_t at_ = 0;
    std::deque<PickleValue> values_;
    std::vector<PickleRef> stack_;
    std::vector<size_t> marks_;
    std::unordered_map<uint64_t, PickleRef> memo_;
    size_t string_bytes_ = 0;
};

}  // namespace

Unpickled unpickle(std::span<const std::byte> bytes) { return Machine(bytes).run(); }

}  // namespace lora::io::internal
