#include "check.h"

#include <sys/mman.h>

static const size_t sizes[] = {1,    7,    8,     9,     15,    16,     17,      24,      33,     100,
                               511,  512,  513,   1000,  1024,  4096,   4097,    32768,   65535,  65536,
                               65537, 131072, 1 << 20, 5000000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void blocks_are_aligned_writable_and_apart(void) {
    unsigned char *blocks[SIZES];
    for (int i = 0; i < SIZES; i++) {
        blocks[i] = malloc(sizes[i]);
        check_block(blocks[i], sizes[i], 16);
        memset(blocks[i], i + 1, malloc_usable_size(blocks[i]));
    }
    for (int i = 0; i < SIZES; i++) {
        CHECK(all_are(blocks[i], i + 1, sizes[i]));
        free(blocks[i]);
    }
}

static void no_bytes_are_a_block_of_their_own(void) {
    void *a = malloc(none), *b = malloc(none), *c = calloc(none, 8), *d = calloc(8, none);
    void *e = realloc(NULL, none);
    void *all[] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) {
        check_block(all[i], 0, 16);
        for (int j = 0; j < i; j++)
            CHECK(all[i] != all[j]);
        free(all[i]);
    }
}

static void what_cannot_be_is_enomem(void) {
    void *kept = malloc(100);
    memset(kept, 7, 100);
    const size_t huge[] = {size_max, size_max - 15, ptrdiff_max + 1, ptrdiff_max, ptrdiff_max - 15,
                           (size_t)1 << 60};
    for (int i = 0; i < 6; i++) {
        CHECK_FAILS(ENOMEM, malloc(huge[i]));
        CHECK_FAILS(ENOMEM, calloc(1, huge[i]));
        CHECK_FAILS(ENOMEM, calloc(huge[i], 1));
        CHECK_FAILS(ENOMEM, realloc(NULL, huge[i]));
        CHECK_FAILS(ENOMEM, realloc(kept, huge[i]));
        CHECK_FAILS(ENOMEM, reallocarray(kept, huge[i], 1));
    }
    CHECK(all_are(kept, 7, 100));
    free(kept);
}

static void products_that_overflow_are_enomem(void) {
    volatile size_t root = (size_t)1 << 32;
    void *kept = malloc(100);
    memset(kept, 7, 100);
    CHECK_FAILS(ENOMEM, calloc(root, root));
    CHECK_FAILS(ENOMEM, calloc(root + 1, root));
    CHECK_FAILS(ENOMEM, calloc(size_max, 2));
    CHECK_FAILS(ENOMEM, calloc(size_max / 2, 3));
    CHECK_FAILS(ENOMEM, reallocarray(NULL, root, root));
    CHECK_FAILS(ENOMEM, reallocarray(kept, root, root));
    CHECK_FAILS(ENOMEM, reallocarray(kept, size_max, 2));
    CHECK(all_are(kept, 7, 100));
    free(kept);
}

static void calloc_clears_what_was_used(void) {
    for (int i = 0; i < SIZES; i++) {
        for (int round = 0; round < 3; round++) {
            unsigned char *block = calloc(sizes[i], 1);
            check_block(block, sizes[i], 16);
            CHECK(all_are(block, 0, sizes[i]));
            memset(block, 0xff, malloc_usable_size(block));
            free(block);
        }
    }
}

static void realloc_keeps_the_contents(void) {
    for (int i = 0; i < SIZES; i++) {
        for (int j = 0; j < SIZES; j++) {
            const size_t from = sizes[i], to = sizes[j], both = from < to ? from : to;
            unsigned char *block = malloc(from);
            memset(block, 0x5a, from);
            block = realloc(block, to);
            check_block(block, to, 16);
            CHECK(all_are(block, 0x5a, both));
            memset(block, 0xa5, malloc_usable_size(block));
            free(block);
        }
    }
}

static void realloc_byte_by_byte(void) {
    unsigned char *block = NULL;
    for (size_t size = 1; size <= 3000; size++) {
        block = realloc(block, size);
        check_block(block, size, 16);
        block[size - 1] = (unsigned char)size;
    }
    for (size_t size = 3000; size >= 1; size--) {
        block = realloc(block, size);
        check_block(block, size, 16);
        for (size_t at = 0; at < size; at += 1 + size / 7)
            CHECK(block[at] == (unsigned char)(at + 1));
    }
    free(block);
}

static void realloc_to_nothing_frees(void) {
    for (int i = 0; i < SIZES; i++) {
        void *block = malloc(sizes[i]);
        errno = 77;
        CHECK(realloc(block, none) == NULL);
        CHECK(errno == 77);
        block = malloc(sizes[i]);
        CHECK(reallocarray(block, none, 8) == NULL);
        CHECK(errno == 77);
    }
}

/* Pages that the program has locked cannot be given back to the system: it says EINVAL. */
static void free_of_locked_pages_leaves_errno_alone(void) {
    enum { COUNT = 100000, SIZE = 96, LOCKED = 10 };
    static char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++)
        CHECK((blocks[i] = malloc(SIZE)) != NULL);
    for (int i = 0; i < LOCKED; i++)
        CHECK(mlock(blocks[i * (COUNT / LOCKED)], SIZE) == 0);
    errno = 77;
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    CHECK(errno == 77);
    CHECK(munlockall() == 0);
}

static void free_leaves_errno_alone(void) {
    void *blocks[SIZES * 50];
    errno = 77;
    free(NULL);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < SIZES * 50; i++)
            blocks[i] = malloc(sizes[i % SIZES] < 200000 ? sizes[i % SIZES] : 200000);
        errno = 77;
        for (int i = 0; i < SIZES * 50; i++)
            free(blocks[i]);
        CHECK(errno == 77);
    }
}

static void sized_frees_take_any_block(void) {
    if (free_sized == NULL)
        return;
    free_sized(NULL, 0);
    free_aligned_sized(NULL, 64, 0);
    for (int i = 0; i < SIZES; i++) {
        free_sized(malloc(sizes[i]), sizes[i]);
        free_sized(calloc(1, sizes[i]), sizes[i]);
        free_aligned_sized(aligned_alloc(256, sizes[i]), 256, sizes[i]);
        /* Left where it was, the block is larger than its last size says. */
        void *block = realloc(malloc(sizes[i]), sizes[i] - sizes[i] / 10);
        free_sized(block, sizes[i] - sizes[i] / 10);
    }
    check_heap();
}

/* glibc's second names, which some programs call. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *), *__libc_memalign(size_t, size_t);

static void second_names_are_the_same_allocator(void) {
    void *block = __libc_malloc(100);
    check_block(block, 100, 16);
    block = realloc(block, 3000);
    block = __libc_realloc(block, 100000);
    check_block(block, 100000, 16);
    free(block);
    __libc_free(malloc(5));
    block = __libc_calloc(10, 10);
    CHECK(all_are(block, 0, 100));
    free(block);
    block = __libc_memalign(128, 5);
    check_block(block, 5, 128);
    free(block);
}

int main(void) {
    check_whose();
    blocks_are_aligned_writable_and_apart();
    no_bytes_are_a_block_of_their_own();
    what_cannot_be_is_enomem();
    products_that_overflow_are_enomem();
    calloc_clears_what_was_used();
    realloc_keeps_the_contents();
    realloc_byte_by_byte();
    realloc_to_nothing_frees();
    free_leaves_errno_alone();
    free_of_locked_pages_leaves_errno_alone();
    sized_frees_take_any_block();
    second_names_are_the_same_allocator();
    done();
}
