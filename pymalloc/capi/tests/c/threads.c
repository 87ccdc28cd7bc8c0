/* Blocks change hands, threads come and go, and the process forks meanwhile. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

enum { THREADS = 4, SLOTS = 2000, ROUNDS = 30000 };

struct slot {
    pthread_mutex_t lock;
    unsigned char *block;
    size_t size;
};
static struct slot slots[SLOTS];
static volatile int stop;

static unsigned next(unsigned *state) { return *state = *state * 1664525u + 1013904223u; }

static void *swap_blocks(void *seed) {
    unsigned state = (unsigned)(uintptr_t)seed;
    for (int round = 0; round < ROUNDS; round++) {
        const size_t size = (next(&state) >> 8) % (round % 50 ? 700 : 90000) + 1;
        unsigned char *block = round % 3 ? malloc(size) : calloc(1, size);
        CHECK(block != NULL);
        memset(block, (int)(size & 0xff), size);
        struct slot *slot = &slots[(next(&state) >> 8) % SLOTS];
        pthread_mutex_lock(&slot->lock);
        unsigned char *old = slot->block;
        const size_t old_size = slot->size;
        slot->block = block;
        slot->size = size;
        pthread_mutex_unlock(&slot->lock);
        if (old == NULL)
            continue;
        CHECK(all_are(old, (int)(old_size & 0xff), old_size));
        if (round % 7 == 0) {
            old = realloc(old, old_size + 100);
            CHECK(all_are(old, (int)(old_size & 0xff), old_size));
        }
        free(old);
    }
    return NULL;
}

static void *give_block(void *size) {
    void *block = malloc((size_t)size);
    memset(block, 1, (size_t)size);
    return block;
}

static void *come_and_go(void *nothing) {
    while (!stop) {
        pthread_t thread;
        void *block;
        CHECK(pthread_create(&thread, NULL, give_block, (void *)200) == 0);
        CHECK(pthread_join(thread, &block) == 0);
        CHECK(all_are(block, 1, 200));
        free(block);
    }
    return nothing;
}

/* What a child does: it has one thread, and all blocks. */
static void live_in_child(void) {
    unsigned state = 5;
    for (int i = 0; i < 20000; i++) {
        free(malloc((next(&state) >> 8) % 3000));
        free(realloc(malloc(100), 70000));
    }
    check_heap();
    pthread_t thread;
    void *block;
    CHECK(pthread_create(&thread, NULL, give_block, (void *)5000) == 0);
    CHECK(pthread_join(thread, &block) == 0);
    free(block);
    _exit(0);
}

int main(void) {
    check_whose();
    for (int i = 0; i < SLOTS; i++)
        pthread_mutex_init(&slots[i].lock, NULL);
    pthread_t threads[THREADS], churn;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, swap_blocks, (void *)(uintptr_t)(i + 1)) == 0);
    CHECK(pthread_create(&churn, NULL, come_and_go, NULL) == 0);
    for (int i = 0; i < 10; i++) {
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            live_in_child();
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    stop = 1;
    CHECK(pthread_join(churn, NULL) == 0);
    for (int i = 0; i < SLOTS; i++)
        free(slots[i].block);
    done();
}
