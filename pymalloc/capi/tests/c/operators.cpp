// Every form of operator new and delete, and what they do when memory has run out.
#include "check.h"

#include <map>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct alignas(256) Wide {
    char bytes[300];
};

static void every_form() {
    const std::align_val_t wide{128};
    for (size_t size : {size_t{0}, size_t{1}, size_t{100}, size_t{5000}, size_t{200000}}) {
        void *blocks[] = {
            operator new(size),
            operator new[](size),
            operator new(size, std::nothrow),
            operator new[](size, std::nothrow),
            operator new(size, wide),
            operator new[](size, wide),
            operator new(size, wide, std::nothrow),
            operator new[](size, wide, std::nothrow),
        };
        for (int i = 0; i < 8; i++) {
            check_block(blocks[i], size, i < 4 ? 16 : 128);
            for (int j = 0; j < i; j++)
                CHECK(blocks[i] != blocks[j]);
            memset(blocks[i], i, size);
        }
        operator delete(blocks[0]);
        operator delete[](blocks[1], size);
        operator delete(blocks[2], std::nothrow);
        operator delete[](blocks[3], std::nothrow);
        operator delete(blocks[4], wide);
        operator delete[](blocks[5], size, wide);
        operator delete(blocks[6], wide, std::nothrow);
        operator delete[](blocks[7], wide, std::nothrow);
        operator delete(operator new(size), size);
        operator delete[](operator new[](size));
        operator delete(operator new(size, wide), size, wide);
        operator delete[](operator new[](size, wide), wide);
    }
    operator delete(nullptr);
    operator delete[](nullptr, wide);
    // malloc and new are one allocator, whatever the standard says about mixing them.
    free(operator new(10));
}

// The sizes are volatile: a compiler may leave out a new that it sees through.
template <typename New> static bool throws_bad_alloc(New allocate) {
    bool cleaned = false;
    struct Cleans {
        bool &cleaned;
        ~Cleans() { cleaned = true; }
    };
    try {
        Cleans cleans{cleaned};
        allocate();
    } catch (const std::bad_alloc &) {
        return cleaned;
    }
    return false;
}

static int handler_calls;

static void no_memory_is_bad_alloc() {
    for (size_t size : {(size_t)ptrdiff_max, (size_t)size_max, size_t{1} << 60}) {
        // libstdc++ 12 rounds this size up to 0 for an aligned new.
        if (size == SIZE_MAX && !ours())
            continue;
        volatile size_t much = size;
        CHECK(throws_bad_alloc([&] { return operator new(much); }));
        CHECK(throws_bad_alloc([&] { return operator new[](much); }));
        CHECK(throws_bad_alloc([&] { return operator new(much, std::align_val_t{64}); }));
        CHECK(throws_bad_alloc([&] { return operator new[](much, std::align_val_t{64}); }));
        CHECK(operator new(much, std::nothrow) == nullptr);
        CHECK(operator new[](much, std::nothrow) == nullptr);
        CHECK(operator new(much, std::align_val_t{64}, std::nothrow) == nullptr);
        CHECK(operator new[](much, std::align_val_t{64}, std::nothrow) == nullptr);
    }
}

static void the_handler_is_asked() {
    volatile size_t much = (size_t)1 << 60;
    // Gives up at its third call.
    std::set_new_handler([] {
        if (++handler_calls == 3)
            std::set_new_handler(nullptr);
    });
    CHECK(throws_bad_alloc([&] { return operator new(much); }));
    CHECK(handler_calls == 3);
    std::set_new_handler([] {
        if (++handler_calls == 5)
            std::set_new_handler(nullptr);
    });
    CHECK(operator new(much, std::nothrow) == nullptr);
    CHECK(handler_calls == 5);
    // What a handler throws goes to who called new.
    std::set_new_handler([] { throw std::runtime_error("handled"); });
    bool caught = false;
    try {
        operator delete(operator new(much));
    } catch (const std::runtime_error &error) {
        caught = std::string(error.what()) == "handled";
    }
    CHECK(caught);
    std::set_new_handler(nullptr);
}

// No handler can help there: it is not asked, or it would be for ever.
static void no_power_of_two_is_bad_alloc() {
    static int calls;
    volatile size_t odd = 24;
    std::set_new_handler([] {
        if (++calls == 100)
            std::set_new_handler(nullptr);
    });
    CHECK(throws_bad_alloc([&] { return operator new(100, std::align_val_t{odd}); }));
    CHECK(throws_bad_alloc([&] { return operator new[](100, std::align_val_t{odd}); }));
    CHECK(operator new(100, std::align_val_t{odd}, std::nothrow) == nullptr);
    CHECK(operator new[](100, std::align_val_t{odd}, std::nothrow) == nullptr);
    CHECK(calls == 0);
    std::set_new_handler(nullptr);
}

static void containers() {
    std::vector<std::unique_ptr<Wide>> wides;
    std::map<std::string, std::vector<int>> map;
    std::vector<std::thread> threads;
    for (int i = 0; i < 500; i++) {
        wides.push_back(std::make_unique<Wide>());
        check_block(wides.back().get(), sizeof(Wide), 256);
        map[std::string(i % 40, 'x') + std::to_string(i)].assign(i, i);
    }
    for (int i = 0; i < 4; i++)
        threads.emplace_back([copy = map] { CHECK(copy.size() == 500); });
    for (std::thread &thread : threads)
        thread.join();
}

int main() {
    check_whose();
    every_form();
    no_memory_is_bad_alloc();
    the_handler_is_asked();
    no_power_of_two_is_bad_alloc();
    containers();
    done();
}
