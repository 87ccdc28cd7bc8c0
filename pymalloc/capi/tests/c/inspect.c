#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

static void usable_size_is_usable(void) {
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 1; size < 300000; size += 1 + size / 9) {
        unsigned char *block = malloc(size);
        const size_t usable = malloc_usable_size(block);
        CHECK(usable >= size);
        memset(block, 3, usable);
        unsigned char *moved = realloc(block, usable);
        /* Within its usable size a block stays where it is. */
        CHECK(moved == block || !ours());
        CHECK(all_are(moved, 3, size));
        free(moved);
    }
    if (ours()) {
        int on_the_stack;
        CHECK(malloc_usable_size(&on_the_stack) == 0);
        CHECK(!pymalloc_owns(&on_the_stack));
        CHECK(!pymalloc_owns(NULL));
    }
}

static void mallinfo2_counts(void) {
    enum { COUNT = 10000, SIZE = 96, LARGE = 1 << 20 };
    static void *blocks[COUNT];
    const struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < COUNT; i++)
        blocks[i] = malloc(SIZE);
    void *large = malloc(LARGE);
    const struct mallinfo2 during = mallinfo2();
    CHECK(during.uordblks >= before.uordblks + COUNT * SIZE);
    CHECK(during.arena >= during.uordblks);
    CHECK(during.hblks == before.hblks + 1);
    CHECK(during.hblkhd >= before.hblkhd + LARGE);
    /* The older flavour has the same numbers. */
    const struct mallinfo narrow = mallinfo();
    CHECK((size_t)narrow.uordblks == during.uordblks);
    CHECK((size_t)narrow.hblks == during.hblks);
    free(large);
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    const struct mallinfo2 after = mallinfo2();
    CHECK(after.hblks == before.hblks);
    CHECK(after.uordblks < during.uordblks - COUNT * SIZE / 2);
    if (ours()) {
        CHECK(after.uordblks == before.uordblks);
        CHECK(after.arena == after.uordblks + after.fordblks);
    }
}

static void trim_says_whether_memory_went_back(void) {
    enum { COUNT = 20000 };
    static void *blocks[COUNT];
    for (int i = 0; i < COUNT; i++)
        memset(blocks[i] = malloc(100), 1, 100);
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    CHECK(malloc_trim(0) == 1);
    if (ours())
        CHECK(malloc_trim(0) == 0);
}

/* Runs with standard error in a file, and looks for a word in it. */
static void stats_go_to_standard_error(const char *word) {
    char name[] = "/tmp/pymalloc-stats-XXXXXX", text[4096];
    const int file = mkstemp(name), stderr_kept = dup(2);
    CHECK(file >= 0 && stderr_kept >= 0);
    unlink(name);
    dup2(file, 2);
    malloc_stats();
    dup2(stderr_kept, 2);
    const ssize_t length = pread(file, text, sizeof text - 1, 0);
    CHECK(length > 0);
    text[length] = 0;
    CHECK(strstr(text, word) != NULL);
}

/* How many there were, for two processes to see. */
static atomic_int *interrupts;

/* Ends well if the rest of what a pipe holds has this word. */
static void look_in_pipe(int end, const char *word) {
    static char text[1 << 20];
    size_t length = 0;
    ssize_t more;
    while (*interrupts < 10) /* the writer waits meanwhile */
        usleep(1000);
    while ((more = read(end, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)more;
    _exit(memmem(text, length, word, strlen(word)) == NULL);
}

static void interrupt(int signal) {
    (void)signal;
    ++*interrupts;
}

/* Runs with standard error in a full pipe, and signals that interrupt who waits for room. */
static void stats_come_whole_through_a_full_pipe(const char *last_line) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], "\n", 1) == 1)
        ;
    CHECK(fcntl(ends[1], F_SETFL, 0) == 0);
    interrupts = mmap(NULL, sizeof *interrupts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(interrupts != MAP_FAILED);
    const pid_t reader = fork();
    CHECK(reader >= 0);
    if (reader == 0) {
        close(ends[1]);
        look_in_pipe(ends[0], last_line);
    }
    const int stderr_kept = dup(2);
    const struct sigaction interrupts = {.sa_handler = interrupt};
    const struct itimerval often = {.it_interval = {.tv_usec = 5000}, .it_value = {.tv_usec = 5000}};
    const struct itimerval never = {0};
    CHECK(sigaction(SIGALRM, &interrupts, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    dup2(ends[1], 2);
    malloc_stats();
    dup2(stderr_kept, 2);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    close(ends[1]);
    int status;
    CHECK(waitpid(reader, &status, 0) == reader && status == 0);
}

int main(void) {
    check_whose();
    usable_size_is_usable();
    mallinfo2_counts();
    trim_says_whether_memory_went_back();
    stats_go_to_standard_error(ours() ? "# arenas allocated current" : "Arena 0");
    if (ours())
        stats_come_whole_through_a_full_pipe("# bytes resident, estimated");
    done();
}
