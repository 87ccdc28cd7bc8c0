/* Detached threads that never allocate: glibc has some of them free what others left, after
 * their keys' destructors. They must leave nothing behind. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 2000, AT_ONCE = 20 };

static atomic_int live;

static void *run(void *nothing) {
    live--;
    return nothing;
}

/* So many threads come and go. */
static void come_and_go(int count) {
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < count; i += AT_ONCE) {
        for (int j = 0; j < AT_ONCE; j++) {
            pthread_t thread;
            live++;
            /* Those that are at their ends may have to be gone first. */
            for (int tries = 0; pthread_create(&thread, &detached, run, NULL) != 0; tries++) {
                CHECK(tries < 60000);
                usleep(1000);
            }
        }
        while (live > 0)
            usleep(100);
        usleep(1000); /* to their ends */
    }
}

/* Bytes of the allocator's records, by its table. */
static long header_bytes(void) {
    FILE *table = tmpfile();
    const int standard_error = dup(2);
    CHECK(table != NULL && standard_error >= 0);
    CHECK(dup2(fileno(table), 2) == 2);
    malloc_stats();
    CHECK(dup2(standard_error, 2) == 2);
    close(standard_error);
    rewind(table);
    char line[200], digits[40];
    while (fgets(line, sizeof line, table) != NULL) {
        const char *number = strchr(line, '=');
        if (strstr(line, "headers") == NULL || number == NULL)
            continue;
        size_t length = 0;
        for (; *number != '\0' && length < sizeof digits - 1; number++)
            if (*number >= '0' && *number <= '9')
                digits[length++] = *number;
        digits[length] = '\0';
        fclose(table);
        return atol(digits);
    }
    CHECK(!"a line of headers");
    return 0;
}

int main(void) {
    check_whose();
    come_and_go(100);
    const long before = ours() ? header_bytes() : 0;
    come_and_go(THREADS);
    const long after = ours() ? header_bytes() : 0;
    if (after > before + 8192) {
        fprintf(stderr, "%ld bytes more for %d threads\n", after - before, (int)THREADS);
        _exit(1);
    }
    done();
}
