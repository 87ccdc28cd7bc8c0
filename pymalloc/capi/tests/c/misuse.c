/* Frees what is no block, in the way the first argument says. */
#include "check.h"

#include <sys/mman.h>

static char in_data[64] __attribute__((aligned(16)));

int main(int count, char **arguments) {
    check_whose();
    CHECK(count == 2);
    const char *way = arguments[1];
    char on_the_stack[64] __attribute__((aligned(16)));
    char *volatile small = malloc(100), *volatile large = malloc(300000);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *volatile stack = on_the_stack, *volatile data = in_data;
    if (strcmp(way, "stack") == 0)
        free(stack);
    else if (strcmp(way, "data") == 0)
        free(data);
    else if (strcmp(way, "mapping") == 0)
        free(page);
    else if (strcmp(way, "unaligned") == 0)
        free(small + 8);
    else if (strcmp(way, "inside-large") == 0)
        free(large + 4096);
    else if (strcmp(way, "twice-large") == 0)
        free(large), free(large);
    else if (strcmp(way, "header") == 0)
        free((void *)((uintptr_t)small & ~(((uintptr_t)32 << 20) - 1)));
    else if (strcmp(way, "region") == 0)
        free((void *)(((uintptr_t)small | (((uintptr_t)32 << 20) - 1)) - 15));
    else if (strcmp(way, "realloc") == 0)
        (void)!realloc(stack, 10);
    else if (strcmp(way, "realloc-unaligned") == 0)
        (void)!realloc(small + 1, 10);
    else if (strcmp(way, "wild") == 0)
        free((void *)0xdeadbeefdeadbee0);
    puts("went on");
}
