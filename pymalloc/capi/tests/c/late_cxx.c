/* A C program that loads a C++ library later, for itself alone: what that library's new
 * throws must reach its catch. */
#include "check.h"

#include <dlfcn.h>

int main(int count, char **arguments) {
    check_whose();
    CHECK(count == 2);
    free(malloc(1)); /* brings the allocator out of its archive */
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    int (*catches)(size_t);
    *(void **)&catches = dlsym(library, "catches_bad_alloc");
    CHECK(catches != NULL);
    CHECK(catches((size_t)1 << 60) == 1);
    CHECK(catches(100) == 0);
    done();
}
