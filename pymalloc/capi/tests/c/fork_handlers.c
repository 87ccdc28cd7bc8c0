/* Linked to a library whose handlers for forks allocate, and wait for a thread that does. */
#include "check.h"

#include <sys/wait.h>

extern int handlers_called(void);

int main(void) {
    check_whose();
    for (int i = 1; i <= 3; i++) {
        alarm(60);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(60);
            CHECK(handlers_called() == 3 * i);
            check_heap();
            _exit(0);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        CHECK(handlers_called() == 3 * i);
    }
    done();
}
