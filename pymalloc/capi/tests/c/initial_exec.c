/* Every call of __tls_get_addr from the allocator ends here: there must be none. */
#include "check.h"

#include <pthread.h>

void *__tls_get_addr(void *index) {
    (void)index;
    const char text[] = "__tls_get_addr was called\n";
    (void)!write(2, text, sizeof text - 1);
    abort();
}

static void *work(void *nothing) {
    void *blocks[500];
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 500; i++)
            blocks[i] = i % 2 ? malloc(i * i) : calloc(i, i);
        for (size_t i = 0; i < 500; i++)
            blocks[i] = realloc(blocks[i], i * 30 + 1);
        for (size_t i = 0; i < 500; i++)
            free(blocks[i]);
    }
    malloc_trim(0);
    return nothing;
}

int main(void) {
    check_whose();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
    work(NULL);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    done();
}
