/* Handlers for forks that allocate, registered by the constructor of a library that a program is
 * linked to. */
#include <pthread.h>
#include <stdlib.h>

static int calls;

int handlers_called(void);
int handlers_called(void) { return calls; }

static void allocate(void) {
    free(malloc(100000));
    free(malloc(3000));
    void *blocks[500];
    for (int i = 0; i < 500; i++)
        blocks[i] = malloc(96);
    for (int i = 0; i < 500; i++)
        free(blocks[i]);
    calls++;
}

static void *in_thread(void *nothing) {
    allocate();
    return nothing;
}

/* As a library does that ends its workers before a fork. */
static void prepare(void) {
    pthread_t thread;
    allocate();
    if (pthread_create(&thread, NULL, in_thread, NULL) != 0 || pthread_join(thread, NULL) != 0)
        abort();
}

static void after(void) { allocate(); }

__attribute__((constructor)) static void arrange(void) { pthread_atfork(prepare, after, after); }
