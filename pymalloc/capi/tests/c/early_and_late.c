/* Before main, after main, and where the C library allocates while it serves the allocator:
 * many handlers for forks and exits, and pthread keys beyond the first 32. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

/* Before any constructor, the allocator's own included: its key is not among the first 32
 * then, so that a thread's first allocation makes the C library allocate; and the process's
 * first allocation is made by the C library, while it holds the lock of these handlers. */
static void very_first(void) {
    pthread_key_t key;
    for (int i = 0; i < 40; i++)
        CHECK(pthread_key_create(&key, NULL) == 0);
    for (int i = 0; i < 100; i++)
        CHECK(pthread_atfork(NULL, NULL, NULL) == 0);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all)(void) = very_first;

static void *from_constructor;

__attribute__((constructor(101))) static void first(void) {
    from_constructor = calloc(10, 10);
    for (int i = 0; i < 200; i++)
        CHECK(pthread_atfork(NULL, NULL, NULL) == 0);
}

__attribute__((destructor(101))) static void last(void) {
    for (int i = 0; i < 1000; i++)
        free(realloc(malloc(i), 2 * i));
    check_heap();
}

static void at_exit(void) {
    static int calls;
    free(malloc(++calls));
}

static pthread_key_t keys[100];

/* Sets the next key from a destructor, so that destructors run round after round. */
static void destroyed(void *value) {
    free(value);
    void *block = malloc(300);
    CHECK(block != NULL);
    memset(block, 1, 300);
    static __thread int rounds;
    if (rounds++ < 150)
        CHECK(pthread_setspecific(keys[(size_t)rounds % 100], block) == 0);
    else
        free(block);
}

/* Its first allocation is the C library's, for the second level of its keys. */
static void *keys_first(void *nothing) {
    (void)nothing;
    for (int i = 99; i >= 0; i--)
        CHECK(pthread_setspecific(keys[i], i % 3 ? NULL : malloc(40)) == 0);
    return malloc(1000);
}

int main(int count, char **arguments) {
    check_whose();
    check_block(from_constructor, 100, 16);
    CHECK(all_are(from_constructor, 0, 100));
    free(from_constructor);
    for (int i = 0; i < 200; i++)
        CHECK(atexit(at_exit) == 0);
    for (int i = 0; i < 100; i++)
        CHECK(pthread_key_create(&keys[i], destroyed) == 0);
    for (int round = 0; round < 50; round++) {
        pthread_t threads[4];
        void *block;
        for (int i = 0; i < 4; i++)
            CHECK(pthread_create(&threads[i], NULL, keys_first, NULL) == 0);
        for (int i = 0; i < 4; i++) {
            CHECK(pthread_join(threads[i], &block) == 0);
            check_block(block, 1000, 16);
            free(block);
        }
    }
    const pid_t child = fork();
    if (child == 0) {
        free(malloc(100));
        exit(7); /* with all handlers */
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    if (count > 1 && strcmp(arguments[1], "overflow") == 0) {
        volatile char *volatile block = malloc(64);
        block[64] = 1;
        free((void *)block);
    }
    done();
}
