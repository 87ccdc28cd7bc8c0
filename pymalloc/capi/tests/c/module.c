/* A module that load.c loads and unloads: thread-local memory, a constructor, a destructor. */
#include <stdlib.h>
#include <string.h>

static void *kept;
static __thread char local[5000];

__attribute__((constructor)) static void loaded(void) { kept = malloc(1234); }
__attribute__((destructor)) static void unloaded(void) { free(kept); }

void *touch(int value) {
    memset(local, value, sizeof local);
    void *copy = malloc(sizeof local);
    memcpy(copy, local, sizeof local);
    return copy;
}
