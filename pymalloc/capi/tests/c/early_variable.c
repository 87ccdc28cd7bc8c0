/* The first block is wanted before the C library knows the environment, and when no file can be
 * opened: so what it says is read too late. The first error there was is not seen in main. */
#include "check.h"

#include <sys/resource.h>

static void *first_block;

static void very_first(void) {
    struct rlimit before, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    first_block = malloc(100);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all)(void) = very_first;

int main(void) {
    CHECK(errno == 0);
    check_whose();
    check_block(first_block, 100, 16);
    free(first_block);
    done();
}
