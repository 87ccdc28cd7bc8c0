/* What speaks on standard error speaks to its end in a thread that was cancelled: nothing here
 * is a cancellation point. The first argument says what the thread does then. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static const char *way;
static atomic_int is_cancelled, first_reports;
static char in_data[64] __attribute__((aligned(16)));

static void free_twice(void) {
    char *volatile block = malloc(100);
    free(block);
    free(block);
}

static void *speak(void *nothing) {
    while (!is_cancelled)
        ;
    if (strcmp(way, "foreign") == 0) {
        char *volatile foreign = in_data;
        free(foreign);
    } else if (strcmp(way, "stats") == 0) {
        malloc_stats();
    } else {
        free_twice();
    }
    puts("went on");
    fflush(stdout);
    pthread_testcancel();
    return nothing;
}

static void *report_first(void *nothing) {
    free_twice();
    return nothing;
}

/* The first report's end is long in coming. */
static void on_abort(int signal) {
    (void)signal;
    first_reports = 1;
    for (;;)
        pause();
}

int main(int count, char **arguments) {
    check_whose();
    CHECK(count == 2);
    way = arguments[1];
    pthread_t first, thread;
    if (strcmp(way, "second") == 0) {
        const struct sigaction action = {.sa_handler = on_abort};
        CHECK(sigaction(SIGABRT, &action, NULL) == 0);
        CHECK(pthread_create(&first, NULL, report_first, NULL) == 0);
        while (!first_reports)
            usleep(1000);
    }
    CHECK(pthread_create(&thread, NULL, speak, NULL) == 0);
    CHECK(pthread_cancel(thread) == 0);
    is_cancelled = 1;
    if (strcmp(way, "second") == 0) {
        /* It waits for the first, and would be gone at once. */
        struct timespec until;
        CHECK(clock_gettime(CLOCK_REALTIME, &until) == 0);
        until.tv_sec += 1;
        CHECK(pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT);
        (void)!write(1, "ok\n", 3);
        _exit(0);
    }
    void *result;
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    done();
}
