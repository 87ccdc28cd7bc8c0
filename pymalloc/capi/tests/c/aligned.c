#include "check.h"

static const size_t sizes[] = {0, 1, 8, 16, 100, 512, 1000, 4096, 5000, 65536, 100000, 3 << 20};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void every_alignment_and_size(void) {
    for (size_t alignment = 1; alignment <= 4 << 20; alignment *= 2) {
        void *blocks[SIZES];
        for (int i = 0; i < SIZES; i++) {
            blocks[i] = i % 2 ? aligned_alloc(alignment, sizes[i]) : memalign(alignment, sizes[i]);
            check_block(blocks[i], sizes[i], alignment < 16 ? 16 : alignment);
            memset(blocks[i], i + 1, sizes[i]);
        }
        for (int i = 0; i < SIZES; i++) {
            CHECK(all_are(blocks[i], i + 1, sizes[i]));
            free(blocks[i]);
        }
    }
}

static void posix_memalign_says_what_is_wrong(void) {
    void *const mark = (void *)0x123, *block = mark;
    const size_t bad[] = {none, 1, 2, 4, 3, 24, 48, 100, size_max, ((size_t)1 << 63) + 8};
    errno = 77;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(posix_memalign(&block, bad[i], 100) == EINVAL);
    CHECK(block == mark && errno == 77);
    CHECK(posix_memalign(&block, 64, ptrdiff_max) == ENOMEM);
    CHECK(posix_memalign(&block, 64, size_max) == ENOMEM);
    CHECK(posix_memalign(&block, (size_t)1 << 62, (size_t)1 << 62) == ENOMEM);
    CHECK(block == mark);
    CHECK(!ours() || errno == 77);
    for (size_t alignment = sizeof(void *); alignment <= 1 << 20; alignment *= 2) {
        for (int i = 0; i < SIZES; i++) {
            CHECK(posix_memalign(&block, alignment, sizes[i]) == 0);
            check_block(block, sizes[i], alignment < 16 ? 16 : alignment);
            memset(block, 1, sizes[i]);
            free(block);
        }
    }
}

static void aligned_alloc_says_what_is_wrong(void) {
    CHECK_FAILS(ENOMEM, aligned_alloc(64, size_max));
    CHECK_FAILS(ENOMEM, aligned_alloc(64, ptrdiff_max));
    CHECK_FAILS(ENOMEM, aligned_alloc(1 << 20, ptrdiff_max));
    /* As glibc says, and does since 2.38. */
    if (!ours())
        return;
    const size_t bad[] = {none, 3, 24, 100, size_max};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(EINVAL, aligned_alloc(bad[i], 100));
}

static void memalign_rounds_up(void) {
    const size_t odd[] = {none, 3, 24, 100, 5000};
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++) {
        size_t power = 16;
        while (power < odd[i])
            power *= 2;
        void *block = memalign(odd[i], 100);
        check_block(block, 100, power);
        free(block);
    }
    CHECK_FAILS(EINVAL, memalign(size_max, 100));
    CHECK_FAILS(ENOMEM, memalign(64, size_max));
}

static void pages(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (int i = 0; i < SIZES; i++) {
        void *block = valloc(sizes[i]);
        check_block(block, sizes[i], page);
        free(block);
        block = pvalloc(sizes[i]);
        check_block(block, (sizes[i] + page - 1) / page * page, page);
        memset(block, 1, (sizes[i] + page - 1) / page * page);
        free(block);
    }
    CHECK_FAILS(ENOMEM, valloc(ptrdiff_max));
    CHECK_FAILS(ENOMEM, valloc(size_max));
    CHECK_FAILS(ENOMEM, pvalloc(ptrdiff_max));
    CHECK_FAILS(ENOMEM, pvalloc(size_max));
    CHECK_FAILS(ENOMEM, pvalloc(size_max - page / 2));
}

static void realloc_takes_aligned_blocks(void) {
    for (size_t alignment = 16; alignment <= 1 << 20; alignment *= 4) {
        for (int i = 0; i < SIZES; i++) {
            for (int j = 1; j < SIZES; j++) {
                const size_t both = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
                void *block = memalign(alignment, sizes[i]);
                memset(block, 9, sizes[i]);
                block = realloc(block, sizes[j]);
                check_block(block, sizes[j], 16);
                CHECK(all_are(block, 9, both));
                free(block);
            }
        }
    }
}

int main(void) {
    check_whose();
    every_alignment_and_size();
    posix_memalign_says_what_is_wrong();
    aligned_alloc_says_what_is_wrong();
    memalign_rounds_up();
    pages();
    realloc_takes_aligned_blocks();
    done();
}
