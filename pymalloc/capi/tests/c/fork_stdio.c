/* Forks while other threads are inside stdio, which allocates with locks of its own held: a
 * reader whose lines grow, or with the argument `cookie` a stream whose writer allocates, and
 * flushes of every stream. A fork that never returns is ended by the alarm.
 * After glibc's malloc/tst-malloc-fork-deadlock.c. */
#include "check.h"

#include <pthread.h>
#include <sys/wait.h>

/* Beyond what a thread has at hand: each block is behind a lock. */
enum { LINE = 200000, LINES = 10, FORKS = 500 };

static FILE *lines;

static void *flush_all(void *nothing) {
    for (;;) {
        fflush(NULL);
        usleep(50);
    }
    return nothing;
}

static void *read_lines(void *nothing) {
    for (;;) {
        char *line = NULL;
        size_t size = 0;
        if (getline(&line, &size, lines) < 0)
            rewind(lines);
        free(line);
    }
    return nothing;
}

static ssize_t write_cookie(void *cookie, const char *text, size_t size) {
    (void)cookie;
    (void)text;
    free(malloc(LINE));
    return (ssize_t)size;
}

static void *write_to_cookie(void *stream) {
    for (;;) {
        fputs("x", (FILE *)stream);
        fflush(NULL);
        usleep(50);
    }
    return stream;
}

int main(int count, char **arguments) {
    check_whose();
    pthread_t thread;
    if (count > 1 && strcmp(arguments[1], "cookie") == 0) {
        FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_cookie});
        CHECK(stream != NULL);
        CHECK(pthread_create(&thread, NULL, write_to_cookie, stream) == 0);
    } else {
        lines = tmpfile();
        CHECK(lines != NULL);
        for (int i = 0; i < LINES; i++)
            fprintf(lines, "%0*d\n", LINE, i);
        rewind(lines);
        CHECK(pthread_create(&thread, NULL, flush_all, NULL) == 0);
        CHECK(pthread_create(&thread, NULL, read_lines, NULL) == 0);
    }
    for (int i = 0; i < FORKS; i++) {
        alarm(60); /* for this one */
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            /* Stdio works there too: its list of streams is nobody's. */
            fclose(fdopen(dup(2), "w"));
            fflush(NULL);
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    check_heap();
    (void)!write(1, "ok\n", 3);
    _exit(0); /* the threads go on */
}
