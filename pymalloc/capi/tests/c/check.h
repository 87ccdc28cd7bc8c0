/* What the programs of the suite share. Each runs on glibc's malloc too, where what is asked
 * of both must hold; `ours` says which one it is. */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "pymalloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Missing where glibc's malloc serves. */
#pragma weak pymalloc_owns
#pragma weak pymalloc_verify_heap
#pragma weak free_sized
#pragma weak free_aligned_sized

#define CHECK(condition)                                                                      \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);           \
            _exit(1);                                                                         \
        }                                                                                     \
    } while (0)

/* A call that must fail with this error. */
#define CHECK_FAILS(error, call)                                                              \
    do {                                                                                      \
        errno = 0;                                                                            \
        CHECK((call) == NULL);                                                                \
        CHECK(errno == (error));                                                              \
    } while (0)

/* Sizes that the compiler must not see through. */
static volatile size_t ptrdiff_max = PTRDIFF_MAX, size_max = SIZE_MAX, none = 0;

static inline int ours(void) { return pymalloc_owns != NULL; }

/* Which malloc it is, by what the test says it should be. */
static inline void check_whose(void) {
    const char *expected = getenv("EXPECTED_MALLOC");
    CHECK(expected != NULL);
    CHECK(ours() == (strcmp(expected, "pymalloc") == 0));
}

static inline void check_block(const void *block, size_t size, size_t alignment) {
    CHECK(block != NULL);
    CHECK((uintptr_t)block % alignment == 0);
    CHECK(malloc_usable_size((void *)block) >= size);
    CHECK(!ours() || pymalloc_owns(block));
}

static inline void check_heap(void) { CHECK(!ours() || pymalloc_verify_heap()); }

static inline int all_are(const void *bytes, int value, size_t size) {
    const unsigned char *byte = (const unsigned char *)bytes;
    for (size_t i = 0; i < size; i++)
        if (byte[i] != value)
            return 0;
    return 1;
}

/* What the suite asks of every program. */
static inline void done(void) {
    check_heap();
    puts("ok");
}

#endif
